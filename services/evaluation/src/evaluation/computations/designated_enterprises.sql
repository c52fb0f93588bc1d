-- needs: present
-- rows
SELECT uscc, name, region, established_on FROM present WHERE scale = '规上'
-- value
SELECT
    CASE WHEN (SELECT count(*) FROM present WHERE scale IS NOT NULL) > 0 THEN count(*) END AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    count(*) FILTER (WHERE established_on IS NULL) AS undated,
    (SELECT count(*) FROM present WHERE scale IS NULL) AS unmarked
FROM used
