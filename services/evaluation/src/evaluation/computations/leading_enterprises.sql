-- needs: present
-- rows
SELECT uscc, name, honour_level FROM present WHERE honour_level IS NOT NULL
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT count(honour_level) FROM register) AS marked,
    (SELECT list({'label': honour_level, 'value': n, 'unit': '家'} ORDER BY n DESC, honour_level)
     FROM (SELECT honour_level, count(*) AS n FROM used GROUP BY honour_level)) AS parts
FROM used
