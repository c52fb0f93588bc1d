-- needs: present
-- rows
SELECT honour_id, uscc, name, level, granted_on FROM (
    SELECT * FROM public.honour
    QUALIFY row_number() OVER (PARTITION BY honour_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE level IN ('国家级', '省级') AND kind = '产业集群' AND (uscc IS NULL OR uscc IN (SELECT uscc FROM present))
  AND granted_on > last_day(CAST($period_end || '-01' AS DATE) - INTERVAL 36 MONTH)
  AND granted_on <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT count(kind) FROM public.honour) AS marked,
    (SELECT count(DISTINCT honour_id) FROM public.honour
     WHERE kind IS NULL AND level IN ('国家级', '省级')) AS unmarked,
    (SELECT CAST(min(granted_on) AS VARCHAR) FROM public.honour) AS span_first,
    (SELECT count(*) FROM public.honour
     WHERE granted_on IS NULL AND kind = '产业集群' AND level IN ('国家级', '省级')) AS undated_left_out,
    (SELECT list({'label': level, 'value': n, 'unit': '项'} ORDER BY level)
     FROM (SELECT level, count(*) AS n FROM used GROUP BY level)) AS parts
FROM used
