-- needs: members
-- The regions in which the enterprises in scope are registered; a region that lies within another of them is left out.
SELECT region FROM (SELECT DISTINCT region FROM members) AS inner_region WHERE NOT EXISTS (
    SELECT 1 FROM (SELECT DISTINCT region FROM members) AS outer_region
    WHERE outer_region.region <> inner_region.region AND outer_region.region LIKE '%00'
      AND starts_with(inner_region.region, regexp_replace(outer_region.region, '(00)+$', ''))
)
