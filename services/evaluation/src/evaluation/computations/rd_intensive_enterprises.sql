-- needs: monthly, months
-- rows
SELECT uscc, month, rd_expense_10k_cny, revenue_10k_cny FROM monthly
WHERE rd_expense_10k_cny IS NOT NULL AND revenue_10k_cny IS NOT NULL
-- value
SELECT
    CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE revenue > 0 AND 100 * expense >= 3 * revenue) END AS value,
    coalesce(sum(rows), 0) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM months WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    (SELECT count(*) FROM members WHERE uscc NOT IN (SELECT uscc FROM used)) AS silent,
    count(*) FILTER (WHERE revenue = 0) AS without_denominator,
    [{'label': '有研发费用与营业收入的企业', 'value': count(*), 'unit': '家'}] AS parts
FROM (
    SELECT uscc, count(*) AS rows,
        sum(CAST(rd_expense_10k_cny AS DECIMAL(24, 6))) AS expense,
        sum(CAST(revenue_10k_cny AS DECIMAL(24, 6))) AS revenue
    FROM used GROUP BY uscc
)
