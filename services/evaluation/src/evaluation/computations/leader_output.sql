-- needs: monthly, months
-- rows
SELECT uscc, month, output_10k_cny FROM monthly
WHERE output_10k_cny IS NOT NULL AND uscc IN (SELECT uscc FROM members WHERE is_chain_leader)
-- value
SELECT
    sum(CAST(output_10k_cny AS DECIMAL(24, 6))) / 10000 AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members WHERE is_chain_leader) AS subjects,
    (SELECT list(month ORDER BY month) FROM months WHERE month NOT IN (SELECT month FROM used)) AS missing_months,
    (SELECT count(*) FROM members WHERE is_chain_leader AND uscc NOT IN (SELECT uscc FROM used)) AS silent
FROM used
