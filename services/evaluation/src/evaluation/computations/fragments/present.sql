-- needs: members
-- Enterprises in scope that exist at the end of the period.
SELECT * FROM members
WHERE coalesce(state, '存续') = '存续'
  AND coalesce(established_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
