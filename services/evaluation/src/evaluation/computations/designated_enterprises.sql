-- needs: present
-- rows
SELECT uscc, name, region, established_on FROM present WHERE scale = '规上'
-- value
SELECT
    count(*) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    count(*) FILTER (WHERE established_on IS NULL) AS undated,
    (SELECT count(scale) FROM present) AS marked,
    (SELECT count(*) FROM present WHERE scale IS NULL) AS unmarked
FROM used
