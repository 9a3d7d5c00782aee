"""What each source promises.

The lowest room: one contract per source system under ``sources/``, read by :mod:`expectations.contract`,
compiled into everything else that needs to know a schema by :mod:`expectations.compile`. Nothing here knows
how or when data arrives (``pipelines``), who is who (``linkage``) or what a number means (``dbt_project``).
"""
