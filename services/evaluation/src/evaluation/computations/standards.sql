-- needs: present
-- rows
SELECT standard_no, uscc, title, kind, role, published_on FROM (
    SELECT * FROM public.standard_participation
    QUALIFY row_number() OVER (PARTITION BY standard_no, uscc ORDER BY _pushed_at DESC, _owner) = 1
) WHERE uscc IN (SELECT uscc FROM present)
  AND coalesce(published_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(DISTINCT standard_no) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT CAST(min(published_on) AS VARCHAR) FROM public.standard_participation) AS span_first,
    count(*) FILTER (WHERE published_on IS NULL) AS undated,
    (SELECT list({'label': kind, 'value': n, 'unit': '项'} ORDER BY n DESC, kind)
     FROM (SELECT kind, count(DISTINCT standard_no) AS n FROM used GROUP BY kind)) AS parts
FROM used
