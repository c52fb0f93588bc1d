-- rows
SELECT scene_id, platform, platform_level, name, kind, started_on FROM (
    SELECT * FROM industry.platform_scene
    QUALIFY row_number() OVER (PARTITION BY scene_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE coalesce(started_on, DATE '0001-01-01') <= last_day(CAST($period_end || '-01' AS DATE))
-- value
SELECT
    scenes + platforms AS value,
    rows_used,
    span_first,
    undated,
    list_concat(
        [{'label': '国家级、省级工业互联网平台', 'value': platforms, 'unit': '个'}],
        (SELECT coalesce(list({'label': kind || '场景', 'value': n, 'unit': '个'} ORDER BY kind), [])
         FROM (SELECT kind, count(*) AS n FROM used WHERE kind IN ('精准化营销', '平台化设计', '个性化定制', '网络化协同', '服务化延伸') GROUP BY kind))
    ) AS parts
FROM (
    SELECT
        count(*) FILTER (WHERE kind IN ('精准化营销', '平台化设计', '个性化定制', '网络化协同', '服务化延伸')) AS scenes,
        count(DISTINCT platform) FILTER (WHERE platform_level IN ('国家级', '省级')) AS platforms,
        count(*) AS rows_used,
        (SELECT CAST(min(started_on) AS VARCHAR) FROM industry.platform_scene) AS span_first,
        count(*) FILTER (WHERE started_on IS NULL) AS undated
    FROM used
)
