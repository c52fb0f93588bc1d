-- X-bar and R control charts with the four Western Electric rules, one result row a subgroup and chart.
-- d2, d3: mean and standard deviation of the range of n standard normal values (Montgomery, Appendix VI, here with
-- five decimals). sigma = mean of R / d2 over the subgroups that set the limits; centre = their weighted mean.
WITH factors(n, d2, d3) AS (
    VALUES (2, 1.12838, 0.85250), (3, 1.69257, 0.88837), (4, 2.05875, 0.87981), (5, 2.32593, 0.86408),
           (6, 2.53441, 0.84804), (7, 2.70436, 0.83321), (8, 2.84720, 0.81983), (9, 2.97003, 0.80783),
           (10, 3.07751, 0.79705), (11, 3.17287, 0.78731), (12, 3.25846, 0.77848), (13, 3.33598, 0.77042),
           (14, 3.40676, 0.76302), (15, 3.47183, 0.75621), (16, 3.53198, 0.74991), (17, 3.58788, 0.74405),
           (18, 3.64006, 0.73859), (19, 3.68896, 0.73348), (20, 3.73495, 0.72869), (21, 3.77834, 0.72417),
           (22, 3.81938, 0.71991), (23, 3.85832, 0.71589), (24, 3.89535, 0.71207), (25, 3.93063, 0.70844)
),
subgroups AS (
    SELECT coalesce(chart, '') AS chart, subgroup, count(value) AS n, count(*) AS given,
           fsum(value) / nullif(count(value), 0) AS mean, max(value) - min(value) AS spread
    FROM input GROUP BY ALL
),
ranked AS (
    SELECT s.*, f.d2, f.d3, row_number() OVER (PARTITION BY chart ORDER BY subgroup) AS place
    FROM subgroups s LEFT JOIN factors f USING (n)
),
limits AS (
    SELECT chart, count(*) AS groups,
           fsum(n * mean) / sum(n) AS centre, avg(spread / d2) AS sigma
    FROM ranked, parameters
    WHERE d2 IS NOT NULL AND n = given AND (baseline_subgroups = 0 OR place <= baseline_subgroups)
    GROUP BY chart
),
set_limits AS (
    SELECT chart, CASE WHEN use_standard THEN standard_mean ELSE centre END AS centre,
           CASE WHEN use_standard THEN standard_sigma ELSE sigma END AS sigma,
           CASE WHEN use_standard THEN 2 ELSE coalesce(groups, 0) END AS groups
    FROM (SELECT DISTINCT chart FROM ranked) LEFT JOIN limits USING (chart), parameters
),
judged AS (
    SELECT r.*, l.centre, l.sigma,
           CASE WHEN given > n THEN 'missing_values'
                WHEN n < 2 THEN 'subgroup_too_small'
                WHEN d2 IS NULL THEN 'subgroup_too_large'
                WHEN groups < 2 THEN 'too_few_subgroups'
                WHEN sigma = 0 THEN 'no_variation'
                ELSE 'ok' END AS state
    FROM ranked r JOIN set_limits l USING (chart)
),
scored AS (
    SELECT *, CASE WHEN state = 'ok' THEN (mean - centre) / (sigma / sqrt(n)) END AS z FROM judged
),
runs AS (
    SELECT *,
           abs(z) > 3 AS beyond_3,
           (z > 2 AND count(*) FILTER (z > 2) OVER three >= 2)
             OR (z < -2 AND count(*) FILTER (z < -2) OVER three >= 2) AS two_of_three,
           (z > 1 AND count(*) FILTER (z > 1) OVER five >= 4)
             OR (z < -1 AND count(*) FILTER (z < -1) OVER five >= 4) AS four_of_five,
           count(*) FILTER (z > 0) OVER eight = 8 OR count(*) FILTER (z < 0) OVER eight = 8 AS eight_in_a_row
    FROM scored
    WINDOW three AS (PARTITION BY chart ORDER BY place ROWS 2 PRECEDING),
           five AS (PARTITION BY chart ORDER BY place ROWS 4 PRECEDING),
           eight AS (PARTITION BY chart ORDER BY place ROWS 7 PRECEDING)
)
SELECT chart, subgroup, n, mean, spread AS range,
       CASE WHEN state = 'ok' THEN centre END AS centre,
       CASE WHEN state = 'ok' THEN sigma END AS sigma,
       CASE WHEN state = 'ok' THEN centre - 3 * sigma / sqrt(n) END AS mean_lower,
       CASE WHEN state = 'ok' THEN centre + 3 * sigma / sqrt(n) END AS mean_upper,
       CASE WHEN state = 'ok' THEN d2 * sigma END AS range_centre,
       CASE WHEN state = 'ok' THEN greatest(0, d2 - 3 * d3) * sigma END AS range_lower,
       CASE WHEN state = 'ok' THEN (d2 + 3 * d3) * sigma END AS range_upper,
       z,
       CASE WHEN state = 'ok' THEN beyond_3 END AS rule_1,
       CASE WHEN state = 'ok' THEN two_of_three END AS rule_2,
       CASE WHEN state = 'ok' THEN four_of_five END AS rule_3,
       CASE WHEN state = 'ok' THEN eight_in_a_row END AS rule_4,
       CASE WHEN state = 'ok' THEN spread > (d2 + 3 * d3) * sigma OR spread < greatest(0, d2 - 3 * d3) * sigma END
         AS range_signal,
       CASE WHEN state <> 'ok' THEN state
            WHEN beyond_3 OR two_of_three OR four_of_five OR eight_in_a_row
              OR spread > (d2 + 3 * d3) * sigma OR spread < greatest(0, d2 - 3 * d3) * sigma THEN 'signal'
            ELSE 'in_control' END AS state
FROM runs ORDER BY chart, subgroup
