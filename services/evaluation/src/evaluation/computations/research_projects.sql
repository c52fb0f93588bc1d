-- needs: projects
-- rows
SELECT project_id, name, uscc, level, stage, signed_on FROM projects
WHERE kind = '科研立项' AND level IN ('国家级', '省级')
  AND coalesce(stage, '') NOT IN ('线索', '洽谈')
  AND signed_on BETWEEN CAST($period_start || '-01' AS DATE) AND last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(kind) FROM public.project) AS marked,
    (SELECT count(*) FROM projects WHERE kind IS NULL) AS unmarked,
    (SELECT CAST(min(signed_on) AS VARCHAR) FROM public.project) AS span_first,
    (SELECT CAST(max(signed_on) AS VARCHAR) FROM public.project) AS span_last,
    (SELECT count(*) FROM projects WHERE kind = '科研立项' AND level IN ('国家级', '省级')
     AND coalesce(stage, '') NOT IN ('线索', '洽谈') AND signed_on IS NULL) AS undated_left_out,
    (SELECT list({'label': level, 'value': n, 'unit': '项'} ORDER BY level)
     FROM (SELECT level, count(*) AS n FROM used GROUP BY level)) AS parts
FROM used
