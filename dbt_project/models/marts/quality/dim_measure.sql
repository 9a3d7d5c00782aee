-- The registry of measures as a table: what each counts, version by version.
select
    measure_id,
    version,
    is_current,
    name,
    why,
    population,
    numerator,
    exclusions,
    time_window,
    basis,
    direction,
    unit,
    linkage_scope,
    sources,
    tier,
    parameters,
    model
from {{ ref("ref_measure") }}
