-- Revenue of the resolutions that an expert solved, what the expert earned by them, and what is left, by month. Pay is
-- taken from what the expert is owed, so that it is exact where one entry moves an earning from one expert to another;
-- the revenue of such an entry, and what no expert solved, is without one.
WITH told AS (
    SELECT
        month,
        expert,
        currency,
        CASE WHEN account_kind = 'liability' THEN -amount ELSE amount END AS amount,
        CASE
            WHEN account_kind = 'income' THEN 'revenue'
            WHEN account_kind = 'liability' OR account IN ('cost/base', 'cost/bonus', 'cost/incentive') THEN 'pay'
            ELSE 'other'
        END AS what
    FROM postings
    WHERE
        effective_on <= (SELECT day FROM as_of)
        AND (
            account_kind = 'income'
            OR (account_kind = 'expense' AND account NOT IN ('cost/base', 'cost/bonus', 'cost/incentive'))
            OR (account IN ('cost/base', 'cost/bonus', 'cost/incentive') AND reason = 'manual')
            OR (
                account LIKE 'expert/%/payable'
                AND reason IN ('settled', 'corrected', 'reversed', 'credited', 'incentive', 'incentive_corrected')
            )
        )
)
SELECT
    month,
    expert,
    currency,
    coalesce(-sum(amount) FILTER (WHERE what = 'revenue'), 0) AS revenue,
    coalesce(sum(amount) FILTER (WHERE what = 'pay'), 0) AS pay,
    coalesce(sum(amount) FILTER (WHERE what = 'other'), 0) AS other_costs,
    -sum(amount) AS margin
FROM told
GROUP BY month, expert, currency
ORDER BY month, currency, expert
