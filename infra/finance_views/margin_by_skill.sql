-- Revenue, pay of experts, other costs and what is left, by month and skill: the skill that a resolution's completion
-- named, for all entries of its cycle; of a corrected one the last. Without a skill is what belongs to no resolution:
-- true-ups, minimums, incentives, fees.
WITH named AS (
    SELECT
        client,
        case_id,
        cycle,
        seq,
        trim(BOTH '"' FROM CAST(json_extract(evidence, '$.skill') AS varchar)) AS skill
    FROM entries
    WHERE case_id IS NOT NULL AND effective_on <= (SELECT day FROM as_of)
),
cycles AS (
    SELECT client, case_id, cycle, max_by(skill, seq) AS skill
    FROM named
    WHERE skill IS NOT NULL
    GROUP BY client, case_id, cycle
)
SELECT
    postings.month,
    cycles.skill,
    postings.currency,
    coalesce(-sum(amount) FILTER (WHERE account_kind = 'income'), 0) AS revenue,
    coalesce(sum(amount) FILTER (WHERE account IN ('cost/base', 'cost/bonus', 'cost/incentive')), 0) AS pay,
    coalesce(
        sum(amount) FILTER (
            WHERE account_kind = 'expense' AND account NOT IN ('cost/base', 'cost/bonus', 'cost/incentive')
        ), 0
    ) AS other_costs,
    -sum(amount) AS margin
FROM postings
LEFT JOIN cycles
    ON
        cycles.client = postings.client
        AND cycles.case_id = postings.case_id
        AND cycles.cycle = postings.cycle
WHERE account_kind IN ('income', 'expense') AND effective_on <= (SELECT day FROM as_of)
GROUP BY postings.month, cycles.skill, postings.currency
ORDER BY postings.month, postings.currency, cycles.skill
