-- Revenue, pay of experts, other costs (fees, bad debt, rounding) and what is left, by month and client. Without a
-- client is what no single client caused: weekly incentives, Stripe's own fees. Fees that experts bear reduce costs.
SELECT
    month,
    client,
    currency,
    coalesce(-sum(amount) FILTER (WHERE account_kind = 'income'), 0) AS revenue,
    coalesce(sum(amount) FILTER (WHERE account IN ('cost/base', 'cost/bonus', 'cost/incentive')), 0) AS pay,
    coalesce(
        sum(amount) FILTER (
            WHERE account_kind = 'expense' AND account NOT IN ('cost/base', 'cost/bonus', 'cost/incentive')
        ), 0
    ) AS other_costs,
    -sum(amount) AS margin
FROM postings
WHERE account_kind IN ('income', 'expense') AND effective_on <= (SELECT day FROM as_of)
GROUP BY month, client, currency
ORDER BY month, currency, client
