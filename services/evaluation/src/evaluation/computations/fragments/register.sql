-- The register with one row per enterprise: where several owners pushed it, the row pushed last counts.
SELECT * FROM public.enterprise
QUALIFY row_number() OVER (PARTITION BY uscc ORDER BY _pushed_at DESC, _owner) = 1
