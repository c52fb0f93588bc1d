-- needs: present
-- rows
SELECT publication_no, uscc, title, kind, granted_on FROM (
    SELECT * FROM public.patent
    QUALIFY row_number() OVER (PARTITION BY publication_no ORDER BY _pushed_at DESC, _owner) = 1
) WHERE state = '有效' AND uscc IN (SELECT uscc FROM present)
  AND coalesce(granted_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT count(state) FROM public.patent) AS marked,
    (SELECT count(DISTINCT publication_no) FROM public.patent
     WHERE state IS NULL AND uscc IN (SELECT uscc FROM present)) AS unmarked,
    (SELECT CAST(min(granted_on) AS VARCHAR) FROM public.patent) AS span_first,
    count(*) FILTER (WHERE granted_on IS NULL) AS undated,
    (SELECT list({'label': kind, 'value': n, 'unit': '项'} ORDER BY n DESC, kind)
     FROM (SELECT kind, count(*) AS n FROM used GROUP BY kind)) AS parts
FROM used
