-- Unusual readings of a meter: each 15-minute reading against the median of the same time of the week, of work days
-- or week ends, or of the day, in robust standard deviations (Iglewicz and Hoaglin 1993; NIST/SEMATECH e-Handbook
-- 1.3.5.17). Where half of the readings of a slot are equal, the mean absolute deviation takes the place of the
-- median one. Gaps are rows of their own, unless a meter's readings span more than 400,000 quarter hours (11 years), where a wrong date is likelier than gaps.
WITH given AS (
    SELECT coalesce(uscc, '') AS uscc, coalesce(meter_id, '') AS meter_id, ts, energy_kwh,
           count(*) OVER (PARTITION BY coalesce(uscc, ''), coalesce(meter_id, ''), ts) AS times,
           epoch(ts) % 900 <> 0 AS off_grid
    FROM input
),
spans AS (
    SELECT uscc, meter_id, min(ts) AS first_ts, max(ts) AS last_ts FROM given WHERE NOT off_grid GROUP BY uscc, meter_id
),
grid AS (
    SELECT uscc, meter_id, unnest(generate_series(first_ts, last_ts, INTERVAL 15 MINUTE)) AS ts FROM spans
    WHERE (epoch(last_ts) - epoch(first_ts)) / 900 <= 400000
),
gaps AS (SELECT grid.* FROM grid ANTI JOIN given USING (uscc, meter_id, ts)),
readings AS (
    SELECT uscc, meter_id, ts, energy_kwh, CASE WHEN off_grid THEN 'off_grid' WHEN times > 1 THEN 'duplicate'
                                   WHEN energy_kwh IS NULL THEN 'missing' ELSE 'ok' END AS mark
    FROM given
    UNION ALL SELECT uscc, meter_id, ts, NULL, 'missing' FROM gaps
),
slotted AS (
    SELECT *, (CASE season WHEN 'week' THEN isodow(ts) WHEN 'workday' THEN (isodow(ts) >= 6)::INT ELSE 0 END) * 96
             + hour(ts) * 4 + minute(ts) // 15 AS slot
    FROM readings, parameters
),
centres AS (
    SELECT uscc, meter_id, slot, median(energy_kwh) AS expected, count(energy_kwh) AS history
    FROM slotted WHERE mark = 'ok' GROUP BY ALL
),
spreads AS (
    SELECT s.uscc, s.meter_id, s.slot, median(abs(energy_kwh - expected)) AS mad, avg(abs(energy_kwh - expected)) AS mean_deviation
    FROM slotted s JOIN centres USING (uscc, meter_id, slot) WHERE mark = 'ok' GROUP BY ALL
),
scaled AS (
    SELECT c.*, greatest(CASE WHEN mad > 0 THEN 1.4826 * mad ELSE 1.253314 * mean_deviation END,
                         least_scale_share * abs(expected), least_scale_kwh) AS scale
    FROM centres c JOIN spreads USING (uscc, meter_id, slot), parameters
),
scored AS (
    SELECT s.*, expected, scale, coalesce(history, 0) AS history,
           CASE WHEN mark = 'ok' AND history >= least_history AND scale > 0 THEN (energy_kwh - expected) / scale END AS score
    FROM slotted s LEFT JOIN scaled USING (uscc, meter_id, slot)
)
SELECT uscc, meter_id, ts, energy_kwh,
       CASE WHEN history >= least_history THEN expected END AS expected,
       CASE WHEN history >= least_history THEN scale END AS scale, history, score,
       CASE WHEN mark <> 'ok' THEN mark
            WHEN history < least_history THEN 'short_history'
            WHEN scale = 0 THEN 'constant'
            WHEN score > threshold THEN 'high'
            WHEN score < -threshold THEN 'low'
            ELSE 'normal' END AS state
FROM scored ORDER BY uscc, meter_id, ts
