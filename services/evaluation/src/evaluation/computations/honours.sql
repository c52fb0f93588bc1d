-- needs: present
-- rows
SELECT honour_id, uscc, name, kind, level, granted_on FROM (
    SELECT * FROM public.honour
    QUALIFY row_number() OVER (PARTITION BY honour_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE level IN ('国家级', '省级') AND kind IN ('产业集群', '产品')
  AND (uscc IN (SELECT uscc FROM present) OR (uscc IS NULL AND kind = '产业集群'))
  AND coalesce(granted_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT count(kind) FROM public.honour) AS marked,
    (SELECT count(DISTINCT honour_id) FROM public.honour
     WHERE kind IS NULL AND level IN ('国家级', '省级')) AS unmarked,
    (SELECT CAST(min(granted_on) AS VARCHAR) FROM public.honour) AS span_first,
    count(*) FILTER (WHERE granted_on IS NULL) AS undated,
    [{'label': '产业集群荣誉', 'value': count(*) FILTER (WHERE kind = '产业集群'), 'unit': '项'},
     {'label': '产品荣誉', 'value': count(*) FILTER (WHERE kind = '产品'), 'unit': '项'}] AS parts
FROM used
