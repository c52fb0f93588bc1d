-- Whole-facility energy baseline (IPMVP option C): energy regressed on degree days and production, and the savings of
-- the reporting period against it. Predictors are centred and made orthogonal one after another (modified Gram-Schmidt),
-- which keeps digits that normal equations lose. Uncertainty of savings: ASHRAE Guideline 14-2014, after Reddy and
-- Claridge (2000). Student's t: NIST/SEMATECH e-Handbook 1.3.6.7.2, rounded down to the next listed degree of freedom.
WITH t_table(df, t_80, t_90, t_95) AS (
    VALUES (1, 3.078, 6.314, 12.706), (2, 1.886, 2.920, 4.303), (3, 1.638, 2.353, 3.182), (4, 1.533, 2.132, 2.776),
           (5, 1.476, 2.015, 2.571), (6, 1.440, 1.943, 2.447), (7, 1.415, 1.895, 2.365), (8, 1.397, 1.860, 2.306),
           (9, 1.383, 1.833, 2.262), (10, 1.372, 1.812, 2.228), (11, 1.363, 1.796, 2.201), (12, 1.356, 1.782, 2.179),
           (13, 1.350, 1.771, 2.160), (14, 1.345, 1.761, 2.145), (15, 1.341, 1.753, 2.131), (16, 1.337, 1.746, 2.120),
           (17, 1.333, 1.740, 2.110), (18, 1.330, 1.734, 2.101), (19, 1.328, 1.729, 2.093), (20, 1.325, 1.725, 2.086),
           (21, 1.323, 1.721, 2.080), (22, 1.321, 1.717, 2.074), (23, 1.319, 1.714, 2.069), (24, 1.318, 1.711, 2.064),
           (25, 1.316, 1.708, 2.060), (26, 1.315, 1.706, 2.056), (27, 1.314, 1.703, 2.052), (28, 1.313, 1.701, 2.048),
           (29, 1.311, 1.699, 2.045), (30, 1.310, 1.697, 2.042), (40, 1.303, 1.684, 2.021), (60, 1.296, 1.671, 2.000),
           (80, 1.292, 1.664, 1.990), (100, 1.290, 1.660, 1.984)
),
used AS (
    SELECT count(heating_degree_days) > 0 AS u1, count(cooling_degree_days) > 0 AS u2, count(production) > 0 AS u3
    FROM input WHERE role = 'baseline'
),
rows AS (
    SELECT period, role, energy AS y,
           CASE WHEN u1 THEN heating_degree_days ELSE 0 END AS x1,
           CASE WHEN u2 THEN cooling_degree_days ELSE 0 END AS x2,
           CASE WHEN u3 THEN production ELSE 0 END AS x3,
           row_number() OVER (ORDER BY role, period) AS place,
           count(*) OVER (PARTITION BY role, period) > 1 AS repeated
    FROM input, used
),
marked AS (
    SELECT *, NOT repeated AND y IS NOT NULL AND x1 IS NOT NULL AND x2 IS NOT NULL AND x3 IS NOT NULL AS whole FROM rows
),
fit AS (SELECT * FROM marked WHERE role = 'baseline' AND whole),
means AS (
    SELECT count(*) AS n, fsum(y) / count(*) AS my, fsum(x1) / count(*) AS m1, fsum(x2) / count(*) AS m2,
           fsum(x3) / count(*) AS m3
    FROM fit
),
centred AS (SELECT place, y - my AS y, x1 - m1 AS q1, x2 - m2 AS x2, x3 - m3 AS x3 FROM fit, means),
size_1 AS (SELECT *, fsum(q1 * q1) OVER () AS d1, fsum(x2 * x2) OVER () AS s2, fsum(x3 * x3) OVER () AS s3 FROM centred),
first AS (
    SELECT *, coalesce(fsum(q1 * x2) OVER () / nullif(d1, 0), 0) AS r12, coalesce(fsum(q1 * x3) OVER () / nullif(d1, 0), 0) AS r13,
           coalesce(fsum(q1 * y) OVER () / nullif(d1, 0), 0) AS c1
    FROM size_1
),
second AS (SELECT *, x2 - r12 * q1 AS q2, x3 - r13 * q1 AS x3b, y - c1 * q1 AS yb FROM first),
size_2 AS (SELECT *, fsum(q2 * q2) OVER () AS d2 FROM second),
third AS (
    SELECT *, coalesce(fsum(q2 * x3b) OVER () / nullif(d2, 0), 0) AS r23, coalesce(fsum(q2 * yb) OVER () / nullif(d2, 0), 0) AS c2
    FROM size_2
),
fourth AS (SELECT *, x3b - r23 * q2 AS q3, yb - c2 * q2 AS yc FROM third),
size_3 AS (SELECT *, fsum(q3 * q3) OVER () AS d3 FROM fourth),
fifth AS (SELECT *, coalesce(fsum(q3 * yc) OVER () / nullif(d3, 0), 0) AS c3 FROM size_3),
residuals AS (
    SELECT *, yc - c3 * q3 AS e, lag(yc - c3 * q3) OVER (ORDER BY place) AS before FROM fifth
),
sums AS (
    SELECT fsum(e * e) AS sse, fsum(y * y) AS sst, fsum(e * before) / nullif(fsum(e * e), 0) AS rho,
           any_value(d1) AS d1, any_value(d2) AS d2, any_value(d3) AS d3, any_value(s2) AS s2, any_value(s3) AS s3,
           any_value(r12) AS r12, any_value(r13) AS r13, any_value(r23) AS r23,
           any_value(c1) AS c1, any_value(c2) AS c2, any_value(c3) AS c3
    FROM residuals
),
solved AS (
    SELECT *, c3 AS b3, c2 - r23 * c3 AS b2, c1 - r12 * (c2 - r23 * c3) - r13 * c3 AS b1, r12 * r23 - r13 AS back,
           1 + u1::INT + u2::INT + u3::INT AS p,
           (u1 AND NOT d1 > 0) OR (u2 AND NOT d2 > 1e-12 * s2) OR (u3 AND NOT d3 > 1e-12 * s3) AS dependent
    FROM sums, means, used
),
model AS (
    SELECT *, my - b1 * m1 - b2 * m2 - b3 * m3 AS b0, sse / nullif(n - p, 0) AS s2e,
           CASE WHEN n < p + 2 THEN 'too_few_rows'
                WHEN dependent THEN 'dependent_predictors'
                WHEN sst = 0 THEN 'constant_energy'
                ELSE 'ok' END AS verdict
    FROM solved
),
quality AS (
    SELECT *, verdict = 'ok' AS ok, 1 - sse / nullif(sst, 0) AS r2, sqrt(s2e) AS rmse, sqrt(s2e) / nullif(my, 0) AS cv,
           sqrt(s2e * (1.0 / n + coalesce(m1 ** 2 / nullif(d1, 0), 0) + coalesce((m2 - r12 * m1) ** 2 / nullif(d2, 0), 0)
             + coalesce((m3 - r23 * m2 + back * m1) ** 2 / nullif(d3, 0), 0))) AS e0,
           sqrt(s2e * (1 / nullif(d1, 0) + coalesce(r12 ** 2 / nullif(d2, 0), 0)
             + coalesce(back ** 2 / nullif(d3, 0), 0))) AS e1,
           sqrt(s2e * (1 / nullif(d2, 0) + coalesce(r23 ** 2 / nullif(d3, 0), 0))) AS e2,
           sqrt(s2e / nullif(d3, 0)) AS e3
    FROM model
),
expected AS (
    SELECT m.*, q.* EXCLUDE (u1, u2, u3), q.u1, q.u2, q.u3,
           CASE WHEN ok AND x1 IS NOT NULL AND x2 IS NOT NULL AND x3 IS NOT NULL
                THEN b0 + b1 * x1 + b2 * x2 + b3 * x3 END AS expected_energy
    FROM marked m, quality q
),
reporting AS (
    SELECT count(*) AS m, fsum(expected_energy) AS expected_sum, fsum(expected_energy - y) AS saved,
           count(*) FILTER (NOT whole) AS missing
    FROM expected WHERE role = 'reporting'
),
confident AS (
    SELECT arg_max(CASE confidence WHEN 0.8 THEN t_80 WHEN 0.9 THEN t_90 ELSE t_95 END, t_table.df) AS t
    FROM t_table, quality, parameters WHERE t_table.df <= n - p
),
effective AS (
    SELECT CASE WHEN correct_autocorrelation THEN n * (1 - greatest(rho, 0)) / (1 + greatest(rho, 0)) ELSE n END AS n_eff
    FROM quality, parameters
),
savings AS (
    SELECT *, CASE WHEN missing = 0 AND m > 0 THEN saved END AS total,
           CASE WHEN missing = 0 AND m > 0
                THEN t * 1.26 * cv * sqrt(n / n_eff * (1 + 2 / n_eff) / m) * expected_sum END AS uncertainty
    FROM reporting, confident, effective, (SELECT n, cv FROM quality)
)
SELECT period, role, y AS energy, expected_energy, expected_energy - y AS difference,
       e.n AS baseline_rows, CASE WHEN ok THEN p END AS coefficients,
       CASE WHEN ok THEN r2 END AS r_squared, CASE WHEN ok THEN rmse END AS rmse, CASE WHEN ok THEN e.cv END AS cv_rmse,
       CASE WHEN ok THEN b0 END AS intercept, CASE WHEN ok THEN e0 END AS intercept_se, CASE WHEN ok THEN b0 / nullif(e0, 0) END AS intercept_t,
       CASE WHEN ok AND u1 THEN b1 END AS heating, CASE WHEN ok AND u1 THEN e1 END AS heating_se, CASE WHEN ok AND u1 THEN b1 / nullif(e1, 0) END AS heating_t,
       CASE WHEN ok AND u2 THEN b2 END AS cooling, CASE WHEN ok AND u2 THEN e2 END AS cooling_se, CASE WHEN ok AND u2 THEN b2 / nullif(e2, 0) END AS cooling_t,
       CASE WHEN ok AND u3 THEN b3 END AS per_product, CASE WHEN ok AND u3 THEN e3 END AS per_product_se, CASE WHEN ok AND u3 THEN b3 / nullif(e3, 0) END AS per_product_t,
       CASE WHEN ok THEN rho END AS autocorrelation,
       CASE WHEN ok THEN total END AS savings, CASE WHEN ok THEN uncertainty END AS savings_uncertainty,
       CASE WHEN ok THEN total / nullif(expected_sum, 0) END AS savings_share,
       CASE WHEN verdict <> 'ok' THEN verdict
            WHEN repeated THEN 'repeated_period'
            WHEN NOT whole THEN 'incomplete_row'
            WHEN r2 < least_r_squared OR e.cv > most_cv_rmse THEN 'weak_model'
            WHEN role = 'reporting' AND missing > 0 THEN 'incomplete_period'
            WHEN role = 'reporting' AND abs(total) < uncertainty THEN 'savings_within_uncertainty'
            ELSE 'ok' END AS state
FROM expected e, savings, parameters ORDER BY place
