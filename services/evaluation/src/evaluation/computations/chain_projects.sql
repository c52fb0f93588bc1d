-- needs: projects
-- rows
SELECT project_id, name, kind, stage, signed_on FROM projects
WHERE kind IN ('招商项目', '数字经济总部') AND stage IN ('签约', '开工', '投产')
  AND coalesce(signed_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(kind) FROM public.project) AS marked,
    (SELECT count(*) FROM projects WHERE kind IS NULL) AS unmarked,
    (SELECT CAST(min(signed_on) AS VARCHAR) FROM public.project) AS span_first,
    count(*) FILTER (WHERE signed_on IS NULL) AS undated,
    [{'label': '招商项目', 'value': count(*) FILTER (WHERE kind = '招商项目'), 'unit': '个'},
     {'label': '数字经济总部', 'value': count(*) FILTER (WHERE kind = '数字经济总部'), 'unit': '个'}] AS parts
FROM used
