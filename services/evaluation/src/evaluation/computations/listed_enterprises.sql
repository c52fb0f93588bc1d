-- needs: present
-- rows
SELECT uscc, stock_code, short_name, board, listed_on FROM (
    SELECT * FROM public.listed_firm
    QUALIFY row_number() OVER (PARTITION BY uscc, stock_code ORDER BY _pushed_at DESC, _owner) = 1
) WHERE uscc IN (SELECT uscc FROM present) AND board IN ('主板', '中小板', '创业板', '科创板', '境外')
  AND coalesce(listed_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    count(DISTINCT uscc) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM present) AS subjects,
    (SELECT CAST(min(listed_on) AS VARCHAR) FROM public.listed_firm) AS span_first,
    count(*) FILTER (WHERE listed_on IS NULL) AS undated,
    (SELECT list({'label': board, 'value': n, 'unit': '家'} ORDER BY n DESC, board)
     FROM (SELECT board, count(DISTINCT uscc) AS n FROM used GROUP BY board)) AS parts
FROM used
