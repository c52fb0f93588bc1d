-- Projects in scope: in the region and, when a chain is chosen, of that chain; one row per project.
SELECT * FROM (
    SELECT * FROM public.project
    QUALIFY row_number() OVER (PARTITION BY project_id ORDER BY _pushed_at DESC, _owner) = 1
) WHERE starts_with(region, $region) AND ($chain = '' OR chain_id = $chain)
