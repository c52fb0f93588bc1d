-- needs: present
-- rows
SELECT uscc, year, kind, source, people FROM (
    SELECT * FROM public.talent
    QUALIFY row_number() OVER (PARTITION BY uscc, year, kind, source ORDER BY _pushed_at DESC, _owner) = 1
) WHERE year = CAST(left($period_end, 4) AS INTEGER) AND uscc IN (SELECT uscc FROM present)
  AND (kind = '高层次人才' OR source = '培育')
-- value
SELECT
    CASE WHEN (SELECT count(*) FROM public.talent WHERE year = CAST(left($period_end, 4) AS INTEGER)) > 0
        THEN coalesce(sum(people), 0) END AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT list({'label': kind || '（' || source || '）', 'value': people, 'unit': '人'} ORDER BY kind, source)
     FROM (SELECT kind, source, sum(people) AS people FROM used GROUP BY kind, source)) AS parts
FROM used
