-- needs: members, months
-- rows
SELECT uscc, month, coal_equivalent_tce FROM (
    SELECT uscc, month, coal_equivalent_tce FROM public.energy_monthly WHERE month BETWEEN $period_start AND $period_end
    QUALIFY row_number() OVER (PARTITION BY uscc, month ORDER BY _pushed_at DESC, _owner) = 1
) WHERE coal_equivalent_tce IS NOT NULL AND uscc IN (SELECT uscc FROM members)
-- value
SELECT
    CASE WHEN count(*) > 0 THEN count(*) FILTER (WHERE is_complete AND energy_tce >= 10000) END AS value,
    coalesce(sum(rows), 0) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM months WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    [{'label': '全期逐月入库的企业', 'value': count(*) FILTER (WHERE is_complete), 'unit': '家'},
     {'label': '达到 1 万吨标准煤但有缺月的企业', 'value': count(*) FILTER (WHERE NOT is_complete AND energy_tce >= 10000),
      'unit': '家'}] AS parts
FROM (
    SELECT uscc, sum(CAST(coal_equivalent_tce AS DECIMAL(24, 6))) AS energy_tce, count(*) AS rows,
        count(*) = (SELECT count(*) FROM months) AS is_complete
    FROM used GROUP BY uscc
)
