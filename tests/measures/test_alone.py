"""Worked answers of the catalogue, computed by the command over plain files, as a stranger would."""

import csv
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from pipelines.cli import app

#: Fiscal year 2024, seen from two years later.
FISCAL_2024 = ["--cutoff", "2026-09-30", "--period", "2023-10-01", "2024-09-30"]

G01_PERSONS = """person_id,dob
A,2022-03-10
B,2023-01-05
C,2021-12-01
D,2021-12-01
E,2024-02-20
F,2023-05-01
G,2022-08-08
H,2023-02-02
I,2022-01-01
J,2023-03-03
K,2023-03-03
"""
G01_REMOVALS = """removal_id,person_id,removal_date,discharge_date,discharge_reason
a,A,2023-11-01,2024-06-15,REUN
b,B,2023-10-20,2023-10-26,REUN
c,C,2024-01-15,2025-01-15,REUN
d,D,2024-01-15,2025-01-16,REUN
e,E,2024-02-25,2025-03-01,REUN
f,F,2024-05-01,,
g1,G,2023-12-01,2024-01-10,REUN
g2,G,2024-03-01,2025-06-01,ADOPT
h,H,2024-04-01,2024-12-31,TRANSFER
i,I,2024-02-29,2025-02-28,GUARD
j,J,2024-06-01,2024-06-09,REL
k,K,2024-06-01,2024-11-30,
"""
G01_PLACEMENTS = """removal_id,seq,start_date,end_date,setting_type
e,1,2024-02-25,2024-12-20,FFH
e,2,2024-12-20,2025-03-01,THV
"""
G07_REPORTS = """person_id,report_id,report_date,incident_date,disposition,is_victim
A,a1,2023-11-01,,SUBST,true
A,a2,2023-11-15,,SUBST,true
B,b1,2023-11-01,,SUBST,true
B,b2,2023-11-16,,SUBST,true
C,c1,2024-01-01,2023-12-20,SUBST,true
C,c2,2024-03-01,2023-12-20,SUBST,true
D,d1,2024-01-01,2023-12-20,SUBST,true
D,d2,2024-03-01,,SUBST,true
E,e1,2024-09-30,,SUBST,true
E,e2,2025-09-30,,SUBST,true
F,f1,2024-09-30,,SUBST,true
F,f2,2025-10-01,,SUBST,true
G,g1,2023-09-30,,SUBST,true
G,g2,2024-08-01,,SUBST,true
"""
G17_REMOVALS = """removal_id,person_id,removal_date,discharge_date,discharge_reason
a,A,2024-10-01,,
b,B,2024-01-01,2024-10-01,REUN
c,C,2024-01-01,2024-10-02,REUN
d,D,2024-10-02,,
"""
JURISDICTION = """name: Testing
time_zone: America/Chicago
counties: [{fips: "05001", name: Arkansas}]
parameters: {within_rule: DAYS_365}
"""


def two_counties() -> tuple[str, str, str]:
    """G-18 as lines of persons, removals and reports: 4 of 100 children recur in one county, 10 of 100 in the other."""
    persons, removals, reports = "", "", ""
    for arm, county, recur in (("t", "05001", 4), ("c", "05003", 10)):
        for child in (f"{arm}{i}" for i in range(100)):
            persons += f"{child},2022-06-01\n"
            removals += f"{child},{child},2023-09-20,,,{county}\n"
            reports += f"{child},{child}1,2023-11-15,SUBST\n"
        reports += "".join(f"{arm}{i},{arm}{i}2,2024-05-01,SUBST\n" for i in range(recur))
    return persons, removals, reports


def ask(folder: Path, *arguments: str) -> tuple[int, str, list[dict[str, str]]]:
    """Run the command over ``folder``: exit code, what it said, the rows of the whole jurisdiction."""
    out = folder.parent / "out.csv"
    told = CliRunner().invoke(app, ["measures", "--tables", str(folder), "--out", str(out), *arguments])
    rows = list(csv.DictReader(out.open())) if out.exists() else []
    return told.exit_code, " ".join(told.output.split()), [r for r in rows if r["stratum_type"] == "all"]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    return folder


def test_golden_answers_from_csv_files(tables: Path) -> None:
    (tables / "dim_person.csv").write_text(G01_PERSONS)
    (tables / "fct_removal.csv").write_text(G01_REMOVALS)
    (tables / "fct_placement.csv").write_text(G01_PLACEMENTS)
    (tables / "fct_cps_report.csv").write_text(G07_REPORTS)
    code, told, rows = ask(tables, *FISCAL_2024, "--measure", "PRM-01", "--measure", "SAF-02")
    assert code == 0, told
    answers = {(r["metric_id"], r["variant"]): (r["numerator"], r["denominator"]) for r in rows}
    # G-01 with its federal variant, and G-07; nobody is enrolled.
    assert answers[("PRM-01", "warehouse")] == ("6", "9")
    assert answers[("PRM-01", "federal_comparable")] == ("5", "8")
    assert answers[("SAF-02", "warehouse")] == ("3", "7")
    assert {r["data_cutoff"] for r in rows} == {"2026-09-30"}


def test_a_jurisdiction_sets_the_parameters(tables: Path, tmp_path: Path) -> None:
    persons, removals, reports = two_counties()
    (tables / "dim_person.csv").write_text(G01_PERSONS + persons)
    (tables / "fct_cps_report.csv").write_text("person_id,report_id,report_date,disposition\n" + reports)
    enrolled = "".join(f"t{i},s,2023-12-01\n" for i in range(100))
    (tables / "fct_enrollment_sbct.csv").write_text("person_id,site_id,enrolled_date\n" + enrolled)
    # Words are the catalogue's whatever their case; one that is not is told, and never quoted.
    cohort = G01_REMOVALS.replace("REUN", "Reun").replace("TRANSFER", "Elsewhere").replace("\n", ",05005\n")
    (tables / "fct_removal.csv").write_text(
        cohort.replace("discharge_reason,05005", "discharge_reason,county") + removals
    )
    (tables / "fct_placement.csv").write_text(G01_PLACEMENTS)
    (tmp_path / "ours.yml").write_text(JURISDICTION)
    asked = ["--measure", "prm-01", "--measure", "EVL-01", "--jurisdiction", str(tmp_path / "ours.yml")]
    code, told, rows = ask(tables, *FISCAL_2024, *asked)
    assert code == 0, told
    assert [(r["numerator"], r["denominator"]) for r in rows if r["variant"] == "warehouse"] == [("5", "9")]
    # G-18. The catalogue's reports and enrollments name no county: it is that of the child's removal.
    [odds] = [r for r in rows if r["variant"] == "all_other_counties"]
    found = [round(float(odds[name]), 4) for name in ("value", "ci_low", "ci_high")]
    assert found == [0.375, 0.1136, 1.2384]
    assert "not a word of the catalogue: fct_removal.discharge_reason: 1 none of REUN, REL" in told
    assert "Elsewhere" not in told


def test_parquet_in_and_out_and_a_day_as_the_period(tables: Path) -> None:
    (tables / "removals.csv").write_text(G17_REMOVALS)
    out = tables.parent / "out.parquet"
    with duckdb.connect() as database:
        database.execute(f"copy (from '{tables}/removals.csv') to '{tables}/fct_removal.parquet' (format parquet)")
        arguments = ["--cutoff", "2025-12-31", "--period", "2024-10-01", "2024-10-01", "--measure", "PIT-01"]
        told = CliRunner().invoke(app, ["measures", "--tables", str(tables), "--out", str(out), *arguments])
        assert told.exit_code == 0, told.output
        # G-17.
        rows = database.execute(f"select numerator from '{out}' where stratum_type = 'all'").fetchall()
    assert rows == [(2,)]
    assert "removals.csv is no table" in " ".join(told.output.split())


@pytest.mark.parametrize(
    ("name", "content", "arguments", "message"),
    [
        ("fct_removal.csv", "removal_id,removal_date\nx,yesterday\n", [], "column removal_date: values that"),
        ("fct_removal.csv", "", [], "fct_removal.csv: is empty"),
        ("fct_removal.csv", 'removal_id,removal_date\n"x,2024-01-01\n', [], "fct_removal.csv: cannot be read"),
        ("fct_removal.csv", "removal_id,Removal_ID\nx,y\n", [], "two columns of its header have one name"),
        ("fct_removal.parquet", "no parquet", [], "fct_removal.parquet: cannot be read as Parquet"),
        ("notes.txt", "hello", [], "holds no table"),
        ("fct_removal.csv", "removal_id\nx\n", ["--measure", "PRM-99"], "there is no measure PRM-99"),
        ("fct_removal.csv", "removal_id\nx\n", ["--measure", "PRM-01x"], "there is no measure PRM-01X"),
        ("fct_removal.csv", "removal_id;person_id\nx;yesterday\n", [], "csv: not one of its columns is known"),
        (
            *("dim_person.csv", "person_id,dob\nyesterday,2022-01-01\nyesterday,2022-01-01\nb,2022-01-01\n", []),
            "dim_person.csv: column person_id: keys that stand there more than once: 1",
        ),
        (
            *("fct_placement.csv", "removal_id,seq\nyesterday,1\nyesterday,1\nb,1\nb,1\nb,2\n", []),
            "fct_placement.csv: columns removal_id, seq: keys that stand there more than once: 2",
        ),
    ],
    ids=[
        *("wrong type", "empty", "open quote", "twice", "no parquet", "no table", "unknown measure", "one letter more"),
        *("semicolons", "a person twice", "placements twice"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_by_file_and_column_without_a_value(
    tables: Path, name: str, content: str, arguments: list[str], message: str
) -> None:
    (tables / name).write_text(content)
    code, told, rows = ask(tables, *FISCAL_2024, *arguments)
    assert code == 1 and rows == []
    assert message in told
    assert "yesterday" not in told


def test_keys_that_are_not_given_and_spans_that_overlap_are_no_error(tables: Path) -> None:
    (tables / "dim_person.csv").write_text("person_id,dob\nA,2022-03-10\n,\n,\n")
    # The catalogue's hearings have no number of their own: one continued twice is two rows alike.
    hearing = "k,REVIEW,2024-02-01,CONTINUED\n"
    (tables / "fct_hearing.csv").write_text(f"case_id,hearing_type,scheduled_date,outcome\n{hearing}{hearing}")
    span = "A,medicaid,2024-01-01,2024-06-30\n"
    (tables / "fct_observability.csv").write_text(f"person_id,source_system,from_date,to_date\n{span}{span}")
    code, told, rows = ask(tables, *FISCAL_2024, "--measure", "CRT-11")
    assert code == 0, told
    assert [(r["numerator"], r["denominator"]) for r in rows if r["variant"] == "warehouse"] == [("2", "2")]


def test_no_taxonomy_of_primary_care_means_no_primary_care(tables: Path, tmp_path: Path) -> None:
    (tables / "dim_person.csv").write_text("person_id,dob\nA,2022-09-01\n")
    (tables / "fct_elig_span.csv").write_text("person_id,start,end\nA,2022-09-01,2024-09-30\n")
    lines = "".join(f"A,c{month},1,2023-{month:02}-10,99391,paid,208000000X\n" for month in range(1, 8))
    names = "person_id,claim_id,line,dos_from,cpt_hcpcs,paid_status,provider_taxonomy\n"
    (tables / "fct_claim_line.csv").write_text(names + lines)
    (tmp_path / "ours.yml").write_text(JURISDICTION.replace("within_rule: DAYS_365", "primary_care_taxonomies: []"))
    asked = [*FISCAL_2024, "--measure", "MED-01"]
    for jurisdiction, counted in (([], "1"), (["--jurisdiction", str(tmp_path / "ours.yml")], "0")):
        code, told, rows = ask(tables, *asked, *jurisdiction)
        assert code == 0, told
        assert [(r["numerator"], r["denominator"]) for r in rows if r["variant"] == "warehouse"] == [(counted, "1")]


#: Columns, rows, and rows as they stand once more is known: what the day after the cut-off (1 September 2024) brought.
BEFORE_AND_AFTER = {
    "dim_person": (
        "person_id,dob,race_eth",
        ["a,2023-01-01,WHITE", "b,2023-01-01,BLACK", "m,1990-01-01,WHITE"],
        [],
        [],
    ),
    "dim_site": ("site_id,county_fips", ["s,05001"], [], []),
    "bridge_source_id": (
        "person_id,source_system,source_id",
        [f"{p},{s},{p}" for p in "abm" for s in ("child_welfare", "court", "medicaid")],
        [],
        [],
    ),
    "fct_removal": (
        "removal_id,person_id,removal_date,discharge_date,discharge_reason,county",
        [],
        ["ra,a,2023-12-01,,,05001", "rb,b,2024-08-30,,,05003"],
        ["ra,a,2023-12-01,2024-09-02,REUN,05001", "rb,b,2024-08-30,2024-09-02,REL,05003", "rc,a,2024-09-10,,,05001"],
    ),
    "fct_placement": (
        "removal_id,seq,start_date,end_date,setting_type,provider_id",
        [],
        ["ra,1,2023-12-01,,FFH,p"],
        ["ra,1,2023-12-01,2024-09-02,FFH,p", "ra,2,2024-09-02,,FFH,q", "ra,3,2024-09-03,,FFH,r"],
    ),
    "fct_cps_report": (
        "person_id,report_id,report_date,disposition,disposition_date,is_victim,screened_in,county",
        ["a,1,2023-11-01,SUBST,2023-12-01,true,true,05001"],
        ["a,2,2024-06-01,,,true,true,05001", "b,3,2024-06-01,,,true,true,05003"],
        [f"{x},2024-06-01,SUBST,2024-09-02,true,true,{c}" for x, c in (("a,2", "05001"), ("b,3", "05003"))],
    ),
    "fct_court_case": (
        "case_id,person_id,case_type,filed_date,closed_date,county",
        [],
        ["k,a,DEP,2023-12-01,,05001"],
        ["k,a,DEP,2023-12-01,2024-09-02,05001", "l,b,DEP,2024-09-02,,05003"],
    ),
    "fct_petition": (
        "petition_id,case_id,person_id,petition_type,filed_date,disposition_date,result",
        [],
        ["p,k,a,DEP,2023-12-01,,"],
        ["p,k,a,DEP,2023-12-01,2024-09-02,DISMISSED"],
    ),
    "fct_hearing": (
        "case_id,hearing_type,scheduled_date,held_date,outcome,judge_id",
        ["k,SHELTER,2023-12-02,2023-12-02,HELD,j"],
        ["k,ADJ,2024-09-02,,,", "k,REVIEW,2024-09-03,,,"],
        ["k,ADJ,2024-09-02,2024-09-02,HELD,j", "k,REVIEW,2024-09-03,2024-09-03,HELD,i"],
    ),
    "fct_representation": (
        "case_id,party_id,party_role,counsel_id,appointed_date",
        ["k,a,child,x,2023-12-01"],
        [],
        ["k,m,mother,y,2024-09-02"],
    ),
    "fct_enrollment_sbct": (
        "person_id,family_id,site_id,enrolled_date,closed_date",
        [],
        ["a,F,s,2023-12-01,"],
        ["a,F,s,2023-12-01,2024-09-02", "b,G,s,2024-09-02,"],
    ),
    "fct_need": ("need_id,person_id,need_domain,identified_date", ["n,b,PHYSICAL_HEALTH,2024-07-01"], [], []),
    "fct_referral": ("referral_id,need_id,person_id,referred_date,status", ["f,n,b,2024-07-01,OPEN"], [], []),
    "fct_service": (
        "service_id,person_id,referral_id,service_type,first_appt_date,attended_flag",
        [],
        [],
        ["v,b,f,PHYSICAL_HEALTH,2024-09-02,true"],
    ),
    "fct_claim_line": (
        "person_id,claim_id,line,dos_from,cpt_hcpcs",
        ["b,1,1,2024-03-01,99213"],
        [],
        ["a,2,1,2024-09-02,99213"],
    ),
}


def test_what_is_dated_after_the_cutoff_changes_nothing(tables: Path) -> None:
    asked = "SAF-01 SAF-02 SAF-02p EQT-03 EVL-01 DEV-02 CRT-01 CRT-02 CRT-08 CRT-10 CRT-12 COL-11 COL-21 HLT-01 STB-02"
    arguments = ["--cutoff", "2024-09-01", "--period", "2023-10-01", "2024-09-30"]
    for measure in asked.split():
        arguments += ["--measure", measure]
    answers = []
    for later in (False, True):
        for name, (columns, always, before, after) in BEFORE_AND_AFTER.items():
            (tables / f"{name}.csv").write_text("\n".join([columns, *always, *(after if later else before)]) + "\n")
        code, told, _ = ask(tables, *arguments)
        assert code == 0, told
        with (tables.parent / "out.csv").open() as handle:
            answers.append([dict(row) for row in csv.DictReader(handle)])
    counted = {row["metric_id"] for row in answers[0] if row["denominator"] not in ("", "0")}
    assert counted >= {"SAF-01", "SAF-02", "CRT-01", "CRT-02", "CRT-08", "CRT-12", "COL-11", "COL-21", "STB-02a"}
    assert {row["metric_id"] for row in answers[1] if row not in answers[0]} == set()
    assert {row["metric_id"] for row in answers[0] if row not in answers[1]} == set()
