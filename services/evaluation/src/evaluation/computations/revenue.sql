-- needs: monthly, months, present
-- rows
SELECT uscc, month, revenue_10k_cny FROM monthly WHERE revenue_10k_cny IS NOT NULL
-- value
SELECT
    sum(CAST(revenue_10k_cny AS DECIMAL(24, 6))) / 10000 AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT list(month ORDER BY month) FROM months WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    (SELECT count(*) FROM present WHERE uscc NOT IN (SELECT uscc FROM used)) AS silent,
    (SELECT sum(gap) FROM (
        SELECT date_diff('month', CAST(min(month) || '-01' AS DATE), CAST(max(month) || '-01' AS DATE)) + 1 - count(*) AS gap
        FROM used GROUP BY uscc
    )) AS gaps
FROM used
