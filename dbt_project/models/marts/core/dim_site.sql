select site_id, site_name, county_fips, launched_date from {{ source("jurisdiction", "sites") }}
