-- needs: present
-- rows
SELECT uscc, 'DCMM' AS kind, level || ' 级' AS level, certified_on AS dated_on FROM (
    SELECT * FROM public.dcmm_level
    QUALIFY row_number() OVER (PARTITION BY uscc ORDER BY _pushed_at DESC, _owner) = 1
) WHERE uscc IN (SELECT uscc FROM present)
  AND coalesce(certified_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
UNION ALL
SELECT uscc, 'CDO' AS kind, level, appointed_on AS dated_on FROM (
    SELECT * FROM public.cdo_pilot
    QUALIFY row_number() OVER (PARTITION BY uscc ORDER BY _pushed_at DESC, _owner) = 1
) WHERE uscc IN (SELECT uscc FROM present)
  AND coalesce(appointed_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(DISTINCT uscc) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT CAST(least((SELECT min(certified_on) FROM public.dcmm_level),
                       (SELECT min(appointed_on) FROM public.cdo_pilot)) AS VARCHAR)) AS span_first,
    count(*) FILTER (WHERE dated_on IS NULL) AS undated,
    [{'label': 'DCMM 贯标企业', 'value': count(*) FILTER (WHERE kind = 'DCMM'), 'unit': '家'},
     {'label': 'CDO（总数据师）试点企业', 'value': count(*) FILTER (WHERE kind = 'CDO'), 'unit': '家'}] AS parts
FROM used
