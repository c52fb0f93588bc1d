-- Carbon dioxide of fuels burnt (scope 1) and of purchased electricity and heat (scope 2), row by row, with totals.
-- Fuel: amount x net calorific value x carbon content x oxidation rate x 44/12 (GB/T 32150-2015, formula 1 of 5.2.2).
-- Values measured by the enterprise go before the defaults. A row without a factor has no emission, and no total is
-- given while one row has none. The factors below are the data files of this component, with their sources.
WITH fuels(energy, unit, ncv, carbon, oxidation, tce) AS (VALUES
    /*VALUES fuel_factors.csv energy unit ncv_gj_per_unit:DOUBLE carbon_tc_per_gj:DOUBLE oxidation:DOUBLE tce_per_unit:DOUBLE*/
),
grid(region, year, factor, source) AS (VALUES
    /*VALUES grid_factors.csv region year:BIGINT t_co2_per_mwh:DOUBLE source*/
),
bought(energy, unit, factor, tce, source) AS (VALUES
    /*VALUES purchased_factors.csv energy unit tco2_per_unit:DOUBLE tce_per_unit:DOUBLE source*/
),
matched AS (
    SELECT i.source, i.period, i.energy, i.amount, coalesce(f.unit, b.unit) AS unit,
           CASE WHEN f.energy IS NOT NULL THEN 1 WHEN b.energy IS NOT NULL THEN 2 END AS scope,
           coalesce(i.ncv_gj_per_unit, f.ncv) AS ncv, coalesce(i.carbon_tc_per_gj, f.carbon) AS carbon,
           coalesce(i.oxidation, f.oxidation) AS oxidation,
           coalesce(i.factor_tco2_per_unit, b.factor, g.factor) AS bought_factor,
           i.factor_tco2_per_unit, coalesce(f.tce, b.tce) AS tce,
           i.ncv_gj_per_unit IS NOT NULL OR i.carbon_tc_per_gj IS NOT NULL OR i.oxidation IS NOT NULL
             OR i.factor_tco2_per_unit IS NOT NULL AS measured,
           coalesce(g.source, b.source) AS purchased_source, row_number() OVER (ORDER BY i.period, i.source, i.energy, i.amount) AS place
    FROM input i CROSS JOIN parameters p
    LEFT JOIN fuels f ON f.energy = i.energy
    LEFT JOIN bought b ON b.energy = i.energy
    LEFT JOIN grid g ON i.energy = 'electricity' AND g.region = coalesce(i.region, p.default_region)
                    AND g.year = coalesce(i.factor_year, p.default_factor_year)
),
counted AS (
    SELECT *, CASE WHEN factor_tco2_per_unit IS NOT NULL THEN factor_tco2_per_unit
                   WHEN scope = 1 THEN ncv * carbon * oxidation * 44 / 12
                   WHEN scope = 2 THEN bought_factor END AS factor
    FROM matched
),
stated AS (
    SELECT *, amount * factor AS emission,
           CASE WHEN amount IS NULL THEN 'missing_amount' WHEN factor IS NULL THEN 'no_factor'
                WHEN measured THEN 'own_factor' ELSE 'default_factor' END AS state
    FROM counted
)
SELECT source, period, energy, scope, amount, unit,
       CASE WHEN scope = 1 AND factor_tco2_per_unit IS NULL THEN ncv END AS ncv_gj_per_unit,
       CASE WHEN scope = 1 AND factor_tco2_per_unit IS NULL THEN carbon END AS carbon_tc_per_gj,
       CASE WHEN scope = 1 AND factor_tco2_per_unit IS NULL THEN oxidation END AS oxidation,
       factor AS factor_tco2_per_unit, emission AS emission_tco2, amount * tce AS standard_coal_tce,
       CASE WHEN state = 'own_factor' THEN '企业实测或自报' WHEN state IN ('no_factor', 'missing_amount') THEN NULL
            WHEN scope = 2 THEN purchased_source
            ELSE '企业温室气体核算方法与报告指南 化石燃料缺省值' END AS factor_source,
       CASE WHEN bool_and(emission IS NOT NULL) OVER () THEN fsum(emission) FILTER (scope = 1) OVER () END AS scope_1_tco2,
       CASE WHEN bool_and(emission IS NOT NULL) OVER () THEN fsum(emission) FILTER (scope = 2) OVER () END AS scope_2_tco2,
       CASE WHEN bool_and(emission IS NOT NULL) OVER () THEN fsum(emission) OVER () END AS total_tco2,
       state
FROM stated ORDER BY place
