-- What was invoiced by year, client and rate of tax, after voids and credit notes: gross is what clients owe or paid from
-- credits, tax what of it is booked as payable. The tax of a void invoice stays booked until it is issued again. Without a
-- percent is what no tax was charged on.
WITH invoiced AS (
    SELECT
        postings.client,
        postings.currency,
        postings.account,
        postings.amount,
        year(postings.effective_on) AS tax_year,
        trim(BOTH '"' FROM CAST(json_extract(entries.evidence, '$.percent') AS varchar)) AS percent,
        regexp_extract(
            coalesce(
                nullif(regexp_extract(postings.entry_id, '^(invoice:[^:]+:[0-9]{4}-[0-9]{2})', 1), ''),
                trim(BOTH '"' FROM CAST(json_extract(entries.evidence, '$.invoice') AS varchar))
            ), '^(invoice:[^:]+:[0-9]{4}-[0-9]{2})', 1
        ) AS invoice
    FROM postings
    JOIN entries ON entries.book = postings.book AND entries.seq = postings.seq
    WHERE
        postings.reason IN (
            'tax', 'invoiced', 'invoice_voided', 'prepaid_applied', 'credit_note', 'credit_note_withdrawn'
        )
        AND postings.effective_on <= (SELECT day FROM as_of)
),
rates AS (
    SELECT invoice, max(percent) AS percent
    FROM invoiced
    GROUP BY invoice
)
SELECT
    invoiced.tax_year,
    invoiced.client,
    rates.percent,
    invoiced.currency,
    coalesce(
        sum(amount) FILTER (WHERE account LIKE 'client/%/receivable' OR account LIKE 'client/%/prepaid'), 0
    ) + coalesce(sum(amount) FILTER (WHERE account = 'tax/payable'), 0) AS net,
    coalesce(-sum(amount) FILTER (WHERE account = 'tax/payable'), 0) AS tax,
    coalesce(
        sum(amount) FILTER (WHERE account LIKE 'client/%/receivable' OR account LIKE 'client/%/prepaid'), 0
    ) AS gross
FROM invoiced
LEFT JOIN rates ON rates.invoice = invoiced.invoice
GROUP BY invoiced.tax_year, invoiced.client, rates.percent, invoiced.currency
ORDER BY invoiced.tax_year, invoiced.currency, invoiced.client, rates.percent
