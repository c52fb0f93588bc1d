-- The months of the period.
SELECT strftime(day, '%Y-%m') AS month FROM (
    SELECT unnest(generate_series(
        CAST($period_start || '-01' AS DATE), CAST($period_end || '-01' AS DATE), INTERVAL 1 MONTH
    )) AS day
)
