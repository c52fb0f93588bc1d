-- needs: register
-- Enterprises in scope: registered in the region and, when a chain is chosen, with a product at one of its nodes.
SELECT * FROM register
WHERE starts_with(region, $region) AND ($chain = '' OR uscc IN (
    SELECT uscc FROM (
        SELECT uscc, chain_id FROM industry.product
        QUALIFY row_number() OVER (PARTITION BY uscc, product_id ORDER BY _pushed_at DESC, _owner) = 1
    ) WHERE chain_id = $chain
))
