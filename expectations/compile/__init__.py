"""One contract, compiled into everything that needs to know a schema.

:mod:`.sql` reads delivered text as typed columns, :mod:`.rules` finds the rows that break a promise, :mod:`.gx`
checks whole tables at the door, :mod:`.dbt` writes the staging models and :mod:`.dictionary` the data dictionary.
Nothing here opens a delivered file or decides what happens to a bad row: that is ``pipelines.landing``.
"""
