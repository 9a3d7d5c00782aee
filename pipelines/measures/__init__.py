"""Measures outside the night: their registry, their methodology pages, and the same models over anybody's tables.

What a measure means is SQL in ``dbt_project/models/marts/metrics``; no number is computed here.
"""
