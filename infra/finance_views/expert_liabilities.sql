-- What each expert is owed: payable is earned and not yet reserved for a payout, in_transit is reserved for one whose
-- transfer is not confirmed. Below zero is what was paid and taken back since.
SELECT
    expert,
    currency,
    coalesce(-sum(amount) FILTER (WHERE account LIKE 'expert/%/payable'), 0) AS payable,
    coalesce(-sum(amount) FILTER (WHERE account LIKE 'expert/%/in_transit'), 0) AS in_transit,
    -sum(amount) AS owed
FROM postings
WHERE account LIKE 'expert/%' AND effective_on <= (SELECT day FROM as_of)
GROUP BY expert, currency
HAVING sum(amount) <> 0 OR sum(amount) FILTER (WHERE account LIKE 'expert/%/payable') <> 0
ORDER BY currency, expert
