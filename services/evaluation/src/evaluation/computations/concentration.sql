-- needs: members, monthly, months, counties
-- rows
SELECT 'enterprise' AS source, uscc, month, NULL AS region, revenue_10k_cny AS amount_10k_cny
FROM monthly WHERE revenue_10k_cny IS NOT NULL
UNION ALL
SELECT 'region' AS source, NULL AS uscc, CAST(year AS VARCHAR) AS month, region, output_10k_cny AS amount_10k_cny
FROM (
    SELECT * FROM public.region_yearly
    QUALIFY row_number() OVER (PARTITION BY region, year ORDER BY _pushed_at DESC, _owner) = 1
) WHERE year = CAST(left($period_end, 4) AS INTEGER) AND region IN (SELECT region FROM counties)
-- value
SELECT
    100 * numerator / nullif(denominator, 0) AS value,
    numerator,
    denominator,
    rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM months
     WHERE month NOT IN (SELECT month FROM used WHERE source = 'enterprise')) AS missing_months,
    (SELECT list(region ORDER BY region) FROM counties
     WHERE region NOT IN (SELECT region FROM used WHERE source = 'region')) AS missing_regions,
    [{'label': '范围内企业营业收入', 'value': numerator, 'unit': '亿元'},
     {'label': '所在区县整体产值', 'value': denominator, 'unit': '亿元'}] AS parts
FROM (
    SELECT
        sum(CAST(amount_10k_cny AS DECIMAL(24, 6))) FILTER (WHERE source = 'enterprise') / 10000 AS numerator,
        sum(CAST(amount_10k_cny AS DECIMAL(24, 6))) FILTER (WHERE source = 'region') / 10000 AS denominator,
        count(*) AS rows_used
    FROM used
)
