"""A column is as sensitive as what it was computed from, through every step of SQL."""

from expectations.vocabulary import Sensitivity
from pipelines.releases.classes import Lineage

STAYS = '"warehouse"."staging"."stg_clinic__stays"'
CASES = '"warehouse"."staging"."stg_court__cases"'
MODELS = {
    "stg_clinic__stays": (["staging"], "", {"day": "sud_p2", "client": "source_key", "form": "none"}),
    "stg_court__cases": (["staging"], "", {"filed": "court", "docket": "source_key"}),
    "int_days": (
        ["intermediate"],
        f"with s as (select * from {STAYS} as s) select day as happened, 'clinic' as source from s"
        f" union all select filed, 'court' from {CASES}",
        {},
    ),
    "fct_first": (
        ["marts"],
        "select i.person_id, min(d.happened) as first_day, count(*) as days, max(c.form) as form,"
        f" (select max(x.filed) from {CASES} as x) as last_filed, f.birth_date + 1 as next"
        f' from "warehouse"."intermediate"."int_days" as d cross join {STAYS} as c'
        " cross join read_parquet('/x/vault/linkage/person_crosswalk.parquet') as i"
        " cross join read_parquet('/x/vault/linkage/person_facts.parquet') as f group by all",
        {"days": "cw_case", "person_id": "none"},
    ),
}  # fmt: skip
COLUMNS = {
    "stg_clinic__stays": ["day", "client", "form"],
    "stg_court__cases": ["filed", "docket"],
    "int_days": ["happened", "source"],
    "person_crosswalk": ["person_id", "source_record_id"],
    "person_facts": ["person_id", "birth_date"],
}


def lineage(tmp_path):
    nodes = {}
    for name, (layer, sql, classes) in MODELS.items():
        (tmp_path / f"{name}.sql").write_text(sql)
        nodes[name] = {
            "name": name,
            "resource_type": "model",
            "fqn": ["kinweave", *layer, name],
            "original_file_path": f"{name}.sql",
            "columns": {c: {"config": {"meta": {"sensitivity": s}}} for c, s in classes.items()},
        }
    return Lineage({"nodes": nodes}, tmp_path, COLUMNS)


def test_classes_follow_stars_unions_subqueries_and_functions(tmp_path):
    found = lineage(tmp_path).classes("fct_first")
    assert {c: sorted(map(str, s)) for c, s in found.items()} == {
        "person_id": [],
        "first_day": ["court", "sud_p2"],
        "days": ["cw_case"],
        "form": [],
        "last_filed": ["court"],
        "next": ["quasi_id"],
    }


def test_a_declared_class_is_never_lost_and_never_enough(tmp_path):
    weaker = lineage(tmp_path)
    weaker.manifest["nodes"]["fct_first"]["columns"]["first_day"] = {"meta": {"sensitivity": "none"}}
    assert weaker.classes("fct_first")["first_day"] == {Sensitivity.COURT, Sensitivity.SUD_P2}
