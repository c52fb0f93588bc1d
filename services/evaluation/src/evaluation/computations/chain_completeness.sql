-- needs: present
-- rows
SELECT node.node_id, node.name, node.stage, node.stage_order, count(DISTINCT product.uscc) AS enterprises FROM (
    SELECT * FROM (
        SELECT * FROM industry.chain_node
        QUALIFY row_number() OVER (PARTITION BY chain_id, node_id ORDER BY _pushed_at DESC, _owner) = 1
    ) WHERE chain_id = $chain AND node_id NOT IN (
        SELECT parent_node_id FROM industry.chain_node WHERE chain_id = $chain AND parent_node_id IS NOT NULL
    )
) AS node LEFT JOIN (
    SELECT * FROM (
        SELECT uscc, chain_id, node_id FROM industry.product
        QUALIFY row_number() OVER (PARTITION BY uscc, product_id ORDER BY _pushed_at DESC, _owner) = 1
    ) WHERE chain_id = $chain AND uscc IN (SELECT uscc FROM present)
) AS product USING (node_id) GROUP BY ALL
-- value
SELECT
    100 * count(*) FILTER (WHERE enterprises > 0) / nullif(count(*), 0) AS value,
    count(*) FILTER (WHERE enterprises > 0) AS numerator,
    count(*) AS denominator,
    count(*) AS rows_used,
    (SELECT list({'label': coalesce(stage, '其他') || '环节有企业', 'value': filled, 'unit': '个，共 ' || total || ' 个'}
        ORDER BY place NULLS LAST, stage)
     FROM (SELECT stage, min(stage_order) AS place, count(*) AS total, count(*) FILTER (WHERE enterprises > 0) AS filled
           FROM used GROUP BY stage)) AS parts
FROM used
