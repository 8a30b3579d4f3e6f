-- By client: accrued is charged and not yet invoiced (unbilled), deferred is paid in advance and not yet used (prepaid
-- credits, a liability), commitments is the revenue that agreed minimums and commitments added so far.
SELECT
    client,
    currency,
    coalesce(sum(amount) FILTER (WHERE account LIKE 'client/%/unbilled'), 0) AS accrued,
    coalesce(-sum(amount) FILTER (WHERE account LIKE 'client/%/prepaid'), 0) AS deferred,
    coalesce(-sum(amount) FILTER (WHERE account = 'revenue/minimum'), 0) AS commitments
FROM postings
WHERE
    (account LIKE 'client/%/unbilled' OR account LIKE 'client/%/prepaid' OR account = 'revenue/minimum')
    AND effective_on <= (SELECT day FROM as_of)
GROUP BY client, currency
ORDER BY currency, client
