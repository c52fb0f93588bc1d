-- needs: present
-- rows
SELECT platform_id, uscc, name, kind, level, recognised_on FROM (
    SELECT * FROM public.rd_platform
    QUALIFY row_number() OVER (PARTITION BY platform_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE level IN ('国家级', '省级') AND uscc IN (SELECT uscc FROM present)
  AND coalesce(recognised_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT CAST(min(recognised_on) AS VARCHAR) FROM public.rd_platform) AS span_first,
    count(*) FILTER (WHERE recognised_on IS NULL) AS undated,
    (SELECT list({'label': kind, 'value': n, 'unit': '个'} ORDER BY n DESC, kind)
     FROM (SELECT kind, count(*) AS n FROM used GROUP BY kind)) AS parts
FROM used
