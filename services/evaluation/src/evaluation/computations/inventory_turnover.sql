-- needs: monthly, months
-- rows
SELECT uscc, month, revenue_10k_cny, inventory_10k_cny FROM monthly
WHERE revenue_10k_cny IS NOT NULL AND inventory_10k_cny IS NOT NULL
-- value
SELECT
    numerator / nullif(denominator, 0) AS value,
    numerator,
    denominator,
    rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM months WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    [{'label': '营业收入', 'value': numerator, 'unit': '亿元'},
     {'label': '月均存货', 'value': denominator, 'unit': '亿元'}] AS parts
FROM (
    SELECT
        sum(CAST(revenue_10k_cny AS DECIMAL(24, 6))) / 10000 AS numerator,
        sum(CAST(inventory_10k_cny AS DECIMAL(24, 6))) / (SELECT count(*) FROM months) / 10000 AS denominator,
        count(*) AS rows_used
    FROM used
)
