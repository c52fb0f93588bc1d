-- needs: members
-- rows
SELECT uscc, month, revenue_10k_cny, month >= $period_start AS is_current FROM (
    SELECT uscc, month, revenue_10k_cny FROM enterprise.enterprise_monthly
    WHERE month BETWEEN strftime(CAST($period_start || '-01' AS DATE) - INTERVAL 12 MONTH, '%Y-%m') AND $period_end
    QUALIFY row_number() OVER (PARTITION BY uscc, month ORDER BY _pushed_at DESC, _owner) = 1
) WHERE revenue_10k_cny IS NOT NULL AND uscc IN (SELECT uscc FROM members)
-- value
SELECT
    100 * (numerator / nullif(denominator, 0) - 1) AS value,
    numerator,
    denominator,
    rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM (
        SELECT strftime(unnest(generate_series(
            CAST($period_start || '-01' AS DATE) - INTERVAL 12 MONTH, CAST($period_end || '-01' AS DATE), INTERVAL 1 MONTH
        )), '%Y-%m') AS month
    ) WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    [{'label': '本期营业收入', 'value': numerator, 'unit': '亿元'},
     {'label': '上年同期营业收入', 'value': denominator, 'unit': '亿元'}] AS parts
FROM (
    SELECT
        sum(CAST(revenue_10k_cny AS DECIMAL(24, 6))) FILTER (WHERE is_current) / 10000 AS numerator,
        sum(CAST(revenue_10k_cny AS DECIMAL(24, 6))) FILTER (WHERE NOT is_current) / 10000 AS denominator,
        count(*) AS rows_used
    FROM used
)
