-- needs: members
-- rows
SELECT financing_id, uscc, kind, amount_10k_cny, paid_on FROM (
    SELECT * FROM industry.financing
    QUALIFY row_number() OVER (PARTITION BY financing_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE kind IN ('产业基金', '股权投资') AND uscc IN (SELECT uscc FROM members)
  AND paid_on BETWEEN CAST($period_start || '-01' AS DATE) AND last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    coalesce(sum(CAST(amount_10k_cny AS DECIMAL(24, 6))), 0) AS value,
    count(*) AS rows_used,
    (SELECT count(*) FROM members) AS subjects,
    (SELECT CAST(min(paid_on) AS VARCHAR) FROM industry.financing) AS span_first,
    (SELECT CAST(max(paid_on) AS VARCHAR) FROM industry.financing) AS span_last,
    (SELECT count(*) FROM industry.financing
     WHERE paid_on IS NULL AND kind IN ('产业基金', '股权投资') AND uscc IN (SELECT uscc FROM members)) AS undated_left_out,
    (SELECT list({'label': kind, 'value': amount, 'unit': '万元'} ORDER BY kind)
     FROM (SELECT kind, sum(CAST(amount_10k_cny AS DECIMAL(24, 6))) AS amount FROM used GROUP BY kind)) AS parts
FROM used
