-- What each account stands at; one that came back to zero is left out. Debits are positive in minor_units.
SELECT
    account,
    account_kind,
    currency,
    CAST(sum(minor_units) AS bigint) AS minor_units,
    greatest(sum(amount), 0) AS debit,
    greatest(-sum(amount), 0) AS credit
FROM postings
WHERE effective_on <= (SELECT day FROM as_of)
GROUP BY account, account_kind, currency
HAVING sum(minor_units) <> 0
ORDER BY currency, account
