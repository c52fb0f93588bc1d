-- needs: present
-- rows
SELECT uscc, name, region, scale, established_on FROM present
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    count(*) FILTER (WHERE established_on IS NULL) AS undated,
    [{'label': '其中规上', 'value': count(*) FILTER (WHERE scale = '规上'), 'unit': '家'}] AS parts
FROM used
