-- needs: members
-- Monthly figures of the enterprises in scope within the period, one row per enterprise and month.
SELECT * FROM (
    SELECT * FROM enterprise.enterprise_monthly WHERE month BETWEEN $period_start AND $period_end
    QUALIFY row_number() OVER (PARTITION BY uscc, month ORDER BY _pushed_at DESC, _owner) = 1
) WHERE uscc IN (SELECT uscc FROM members)
