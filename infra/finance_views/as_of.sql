-- The last day that counts. Every other view looks at entries up to it; ageing counts days from it.
SELECT max(effective_on) AS day
FROM entries
