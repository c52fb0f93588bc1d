-- needs: present
-- rows
SELECT uscc, level, name, certified_on FROM (
    SELECT * FROM public.dcmm_level
    QUALIFY row_number() OVER (PARTITION BY uscc ORDER BY _pushed_at DESC, _owner) = 1
) WHERE level >= 2 AND uscc IN (SELECT uscc FROM present)
  AND coalesce(certified_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT CAST(min(certified_on) AS VARCHAR) FROM public.dcmm_level) AS span_first,
    count(*) FILTER (WHERE certified_on IS NULL) AS undated,
    (SELECT list({'label': level || ' 级', 'value': n, 'unit': '家'} ORDER BY level)
     FROM (SELECT level, count(*) AS n FROM used GROUP BY level)) AS parts
FROM used
