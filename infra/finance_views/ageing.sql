-- What clients owe, invoice by invoice, and since when. An invoice is due so many days after the day on which it was
-- recorded as its net_days say. A refund or chargeback belongs to the invoice whose payment it took back; a posting that
-- names no invoice has none here. What settled it is named after the first attempt, and its evidence names the right one. A sum below zero is what a client paid too much.
WITH receivable AS (
    SELECT
        postings.entry_id,
        postings.reason,
        postings.client,
        postings.currency,
        postings.minor_units,
        postings.amount,
        entries.effective_on,
        CAST(entries.recorded_at AS date) AS recorded_on,
        CAST(json_extract(entries.evidence, '$.net_days') AS bigint) AS net_days,
        trim(BOTH '"' FROM CAST(json_extract(entries.evidence, '$.payment') AS varchar)) AS payment,
        coalesce(
            CASE
                WHEN postings.entry_id LIKE '%:settled:%'
                THEN trim(BOTH '"' FROM CAST(json_extract(entries.evidence, '$.invoice') AS varchar))
            END,
            nullif(
                regexp_extract(postings.entry_id, '^(invoice:[^:]+:[0-9]{4}-[0-9]{2}(:[0-9]+)?)(:|$)', 1), ''
            ),
            trim(BOTH '"' FROM CAST(json_extract(entries.evidence, '$.invoice') AS varchar))
        ) AS invoice
    FROM postings
    JOIN entries ON entries.book = postings.book AND entries.seq = postings.seq
    WHERE
        postings.account LIKE 'client/%/receivable'
        AND postings.effective_on <= (SELECT day FROM as_of)
),
paid AS (
    SELECT payment, currency, max(invoice) AS invoice
    FROM receivable
    WHERE reason = 'invoice_paid' AND payment IS NOT NULL
    GROUP BY payment, currency
),
of_invoices AS (
    SELECT
        receivable.client,
        receivable.currency,
        receivable.minor_units,
        receivable.amount,
        coalesce(receivable.invoice, paid.invoice) AS invoice
    FROM receivable
    LEFT JOIN paid ON paid.payment = receivable.payment AND paid.currency = receivable.currency
),
invoiced AS (
    SELECT
        invoice,
        max(effective_on) AS invoiced_on,
        max(CAST(recorded_on + coalesce(net_days, 0) * INTERVAL '1' DAY AS date)) AS due_on
    FROM receivable
    WHERE reason = 'invoiced'
    GROUP BY invoice
),
owed AS (
    SELECT
        of_invoices.client,
        of_invoices.currency,
        of_invoices.invoice,
        invoiced.invoiced_on,
        invoiced.due_on,
        date_diff('day', invoiced.due_on, (SELECT day FROM as_of)) AS days_past_due,
        CAST(sum(of_invoices.minor_units) AS bigint) AS minor_units,
        sum(of_invoices.amount) AS amount
    FROM of_invoices
    LEFT JOIN invoiced ON invoiced.invoice = of_invoices.invoice
    GROUP BY of_invoices.client, of_invoices.currency, of_invoices.invoice, invoiced.invoiced_on, invoiced.due_on
    HAVING sum(of_invoices.minor_units) <> 0
)
SELECT
    client,
    currency,
    invoice,
    invoiced_on,
    due_on,
    days_past_due,
    CASE
        WHEN days_past_due IS NULL THEN 'no invoice'
        WHEN days_past_due <= 0 THEN 'not due'
        WHEN days_past_due <= 30 THEN '1 to 30'
        WHEN days_past_due <= 60 THEN '31 to 60'
        WHEN days_past_due <= 90 THEN '61 to 90'
        ELSE 'over 90'
    END AS bucket,
    minor_units,
    amount
FROM owed
ORDER BY currency, client, invoice
