-- needs: projects
-- rows
SELECT project_id, name, chain_action, stage, signed_on FROM projects
WHERE chain_action IS NOT NULL AND stage IN ('签约', '开工', '投产')
  AND signed_on BETWEEN CAST($period_start || '-01' AS DATE) AND last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(chain_action) FROM public.project) AS marked,
    (SELECT CAST(min(signed_on) AS VARCHAR) FROM public.project) AS span_first,
    (SELECT CAST(max(signed_on) AS VARCHAR) FROM public.project) AS span_last,
    (SELECT count(*) FROM projects WHERE chain_action IS NOT NULL AND stage IN ('签约', '开工', '投产')
     AND signed_on IS NULL) AS undated_left_out,
    (SELECT list({'label': action, 'value': n, 'unit': '个'} ORDER BY place) FROM (
        SELECT action, place, count(chain_action) AS n
        FROM (VALUES ('强链', 1), ('固链', 2), ('延链', 3), ('补链', 4)) AS named (action, place)
        LEFT JOIN used ON chain_action = action GROUP BY action, place
    )) AS parts
FROM used
