"""Agreements: what is refused and in which words, what is in force when, and what a change opens or closes."""

import copy
import datetime as dt
import json
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from expectations.vocabulary import Sensitivity
from pipelines.governance import agreements as commands
from pipelines.releases import agreements as rules
from pipelines.releases.changes import differences

DEMO = Path(__file__).parents[2] / "pipelines" / "demo" / "deployment" / "agreements"
DAY = dt.date(2026, 9, 30)

PARTIES = {
    "parties": [
        {"id": "agency", "name": "Agency", "kind": "child_welfare", "systems": ["child_welfare"]},
        {"id": "clinic", "name": "Clinic", "kind": "provider", "systems": ["behavioral_health"]},
        {"id": "nation", "name": "Nation", "kind": "tribe"},
        {"id": "team", "name": "Team", "kind": "court_team"},
    ]
}
AGREEMENT = {
    "agreement": "A-1",
    "title": "Removals for the team",
    "parties": {"disclosers": ["agency"], "recipient": "team"},
    "legal_basis": ["42 USC 671(a)(8)"],
    "purposes": ["court_team"],
    "effective": dt.date(2026, 1, 1),
    "expires": dt.date(2027, 1, 1),
    "people": {"sites": ["alder"]},
    "datasets": {"fct_removal": {"columns": ["person_id", "county"], "rows": {"county": ["99001"]}}},
    "redisclosure": "prohibited",
    "retention_days": 365,
    "requested_by": "Coordinator",
    "approvals": [{"by": "Privacy officer", "date": dt.date(2025, 12, 1)}],
}


def folder(root, *agreements, parties=PARTIES):
    root.mkdir(exist_ok=True)
    (root / "parties.yml").write_text(yaml.safe_dump(parties, sort_keys=False))
    for agreement in agreements or (AGREEMENT,):
        (root / f"{agreement['agreement']}.yml").write_text(yaml.safe_dump(agreement, sort_keys=False))
    return root


def changed(**keys):
    agreement = copy.deepcopy(AGREEMENT)
    for key, value in keys.items():
        if value is None:
            agreement.pop(key)
        else:
            agreement[key] = value
    return agreement


def problems(root):
    with pytest.raises(rules.AgreementError) as refused:
        rules.load(root)
    return str(refused.value)


REFUSED = {
    "the requester approves": ({"approvals": [{"by": "coordinator ", "date": DAY}]}, "does not approve it"),
    "nobody approves": ({"approvals": []}, "approvals: is empty"),
    "a purpose nobody knows": ({"purposes": ["anything"]}, "purposes.0: is none of 'treatment_payment_operations', "),
    "it ends before it starts": ({"expires": dt.date(2025, 1, 1)}, "ends before it starts"),
    "all columns at once": ({"datasets": {"fct_removal": {"columns": ["*"]}}}, "datasets.fct_removal.columns.0"),
    "SQL for a column": ({"datasets": {"t": {"columns": ["a; drop table t"]}}}, "letters, digits and underscores"),
    "SQL for a table": ({"datasets": {"t'; drop": {"columns": ["a"]}}}, "letters, digits and underscores"),
    "a way out of the folder": ({"parties": {"disclosers": ["agency"], "recipient": "../x"}}, "parties.recipient"),
    "a party nobody knows": ({"parties": {"disclosers": ["agency"], "recipient": "x"}}, "lists no such party"),
    "a misspelt restriction": ({"clases_denied": ["sud_p2"]}, "clases_denied: this key is not known"),
    "a class nobody knows": ({"classes_denied": ["secret"]}, "classes_denied.0: is none of 'none', "),
    "cells of ten shown": ({"suppression": {"threshold": 10}}, "suppression.threshold: is less than 11"),
    "only the small cells hidden": ({"suppression": {"complementary": False}}, "suppression.complementary"),
    "nobody's rows": ({"people": {"family": True}}, "say whose rows"),
    "a number for a county": (
        {"datasets": {"fct_removal": {"columns": ["county"], "rows": {"county": [99001]}}}},
        "is no text: put it in quotes",
    ),
    "a tribe's approval by someone else": (
        {"tribal_approvals": [{"by": "agency", "date": DAY}]},
        "only a tribe gives a tribe's approval",
    ),
    "encrypted to nobody": ({"delivery": {"encrypted": True}}, "has no public_key"),
    "columns as one word": (
        {"datasets": {"t": {"columns": "all"}}},
        "datasets.t.columns: is no list: write [one, two]",
    ),
    "two years of retention": ({"retention_days": "two years"}, "retention_days: is no whole number"),
    "two lines in a title": ({"title": "Removals\n- x"}, "without control characters"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    change, words = REFUSED[case]
    found = problems(folder(tmp_path / "a", changed(**change)))
    assert words in found
    assert found.startswith("A-1.yml, line ")


@pytest.mark.parametrize("name", ["../A-1", "A-1'; drop table x", "A_1", "1", ""])
def test_an_agreement_s_id_is_a_plain_name(tmp_path, name):
    root = folder(tmp_path / "a")
    text = (root / "A-1.yml").read_text().replace("agreement: A-1", "agreement: " + json.dumps(name))
    (root / "A-1.yml").write_text(text)
    assert problems(root) == (
        "A-1.yml, line 1: agreement: letters, digits and dashes only, beginning with a letter, 40 at most"
    )


def test_the_message_names_the_line_of_the_field(tmp_path):
    root = folder(tmp_path / "a", changed(purposes=["anything"]))
    line = (root / "A-1.yml").read_text().splitlines().index("purposes:") + 2
    found = problems(root)
    assert found.startswith(f"A-1.yml, line {line}: purposes.0: is none of 'treatment_payment_operations', ")
    assert "anything" not in found


def test_a_rule_about_several_keys_names_the_line_of_the_one_to_change(tmp_path):
    root = folder(tmp_path / "a", changed(expires=dt.date(2025, 1, 1)))
    line = (root / "A-1.yml").read_text().splitlines().index("expires: 2025-01-01") + 1
    assert problems(root) == f"A-1.yml, line {line}: expires: the agreement ends before it starts"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("expires: 2027-02-31", "line {n}: the file: holds a date that no calendar has"),
        ("title: Removals: all", "line {n}: the file: is not readable as YAML (mapping values are not allowed here)"),
        ("title: Jos\udce9", "the file: is not UTF-8"),
    ],
)
def test_what_yaml_itself_cannot_read_is_told_by_line(tmp_path, line, words):
    root = folder(tmp_path / "a")
    kept = [x for x in (root / "A-1.yml").read_text().splitlines() if not x.startswith(line.split(":")[0] + ":")]
    (root / "A-1.yml").write_bytes("\n".join([line, *kept]).encode("utf-8", "surrogateescape"))
    assert words.format(n=1) in problems(root)


@pytest.mark.parametrize(
    "text, words",
    [
        ("agreement: A-1\nagreement: A-2\n", "A-1.yml, line 2: agreement: is given twice"),
        ("a: &x [1]\nb: *x\n", "uses & and *"),
        ("a: [", "is not readable as YAML"),
        ("", "is empty"),
        ("a: !!python/object/apply:os.system [ls]\n", "holds a value that cannot be read"),
    ],
)
def test_yaml_that_could_mean_two_things_is_refused(tmp_path, text, words):
    root = folder(tmp_path / "a")
    (root / "A-1.yml").write_text(text)
    assert words in problems(root)


def test_an_agreement_that_is_a_link_to_another_place_is_refused(tmp_path):
    root = folder(tmp_path / "a")
    outside = tmp_path / "outside.yml"
    (root / "A-1.yml").rename(outside)
    (root / "A-1.yml").symlink_to(outside)
    assert "is a link" in problems(root)


def test_one_table_one_agreement_a_day(tmp_path):
    second = changed(agreement="A-2", effective=dt.date(2026, 12, 31), expires=dt.date(2028, 1, 1))
    assert "A-2.yml" in (told := problems(folder(tmp_path / "a", AGREEMENT, second)))
    assert "A-1 gives the recipient this table on the same days" in told
    second["effective"] = dt.date(2027, 1, 1)
    rules.load(folder(tmp_path / "b", AGREEMENT, second))


def test_in_force_from_the_first_day_until_the_day_before_it_expires(tmp_path):
    book = rules.load(folder(tmp_path / "a"))
    days = [dt.date(2025, 12, 31), dt.date(2026, 1, 1), dt.date(2026, 12, 31), dt.date(2027, 1, 1)]
    assert [len(book.in_force(day)) for day in days] == [0, 1, 1, 0]


def test_withdrawn_and_superseded_agreements_stop_that_day(tmp_path):
    book = rules.load(folder(tmp_path / "a", changed(withdrawn=dt.date(2026, 6, 1))))
    assert [len(book.in_force(dt.date(2026, 5, 31))), len(book.in_force(dt.date(2026, 6, 1)))] == [1, 0]
    newer = changed(agreement="A-2", supersedes="A-1", effective=dt.date(2026, 6, 1))
    book = rules.load(folder(tmp_path / "b", AGREEMENT, newer))
    assert [[a.agreement for a in book.in_force(dt.date(2026, m, 1))] for m in (5, 6)] == [["A-1"], ["A-2"]]


def test_no_folder_of_agreements_means_nobody_gets_anything(tmp_path):
    assert rules.load(tmp_path).partners(DAY) == {}


def test_what_the_tables_cannot_give(tmp_path):
    agreement = rules.load(
        folder(
            tmp_path / "a",
            changed(
                classes_denied=["sud_p2"],
                datasets={"t": {"columns": ["a", "b", "c", "nowhere"]}, "gone": {"columns": ["a"]}},
            ),
        )
    ).agreements["A-1"]
    tables = {
        "t": {
            "a": frozenset({Sensitivity.SUD_P2, Sensitivity.CW_CASE}),
            "b": frozenset({Sensitivity.MEDICAID}),
            "c": frozenset({Sensitivity.COURT}),
        }
    }
    found = rules.check_tables(agreement, tables, rules.load(tmp_path / "a").parties)
    assert found == [
        "A-1: datasets.t.nowhere: there is no such column",
        "A-1: datasets.t.a: carries class sud_p2, which is denied",
        "A-1: datasets.t.a: class sud_p2 needs 42 CFR 2 in legal_basis",
        "A-1: datasets.t.b: class medicaid needs 42 CFR 431 in legal_basis",
        "A-1: datasets.gone: there is no such released table",
        *(
            f"A-1: parties.disclosers: class {c} (as in t.{column}) is given by a party of kind {kind}, and none is"
            " among them"
            for c, column, kind in [("sud_p2", "a", "provider"), ("medicaid", "b", "medicaid"), ("court", "c", "court")]
        ),
    ]


def test_title_42_part_431_is_not_part_2():
    assert not rules._cites("42 CFR 431.302", "42 CFR 2")
    assert not rules._cites("42 CFR 21", "42 CFR 2")
    assert rules._cites("42  CFR 2.31(a)", "42 CFR 2")


def told(tmp_path, *newer, parties=PARTIES, **keys):
    """What the diff says of the agreement with some keys changed, or of other agreements beside it."""
    new = folder(tmp_path / "new", changed(**keys), *newer, parties=parties)
    return differences(rules.load(folder(tmp_path / "old")), rules.load(new), DAY)


def test_a_change_is_told_in_words(tmp_path):
    wider = {
        "datasets": {
            "fct_removal": {"columns": ["person_id", "removal_date"], "rows": {"county": ["99001", "99003"]}},
            "dim_site": {"columns": ["site_id"]},
        },
        "purposes": ["court_team", "evaluation"],
    }
    assert told(tmp_path, **wider) == [
        "opens: team sees table dim_site (site_id)",
        "opens: team sees fct_removal.{removal_date}",
        "closes: team no longer sees fct_removal.{county}",
        "opens: team sees rows of fct_removal with county = 99003",
        "opens: team: purpose evaluation",
    ]


def test_what_changes_nothing_and_what_takes_everything(tmp_path):
    book = rules.load(folder(tmp_path / "old"))
    assert differences(book, book, DAY) == []
    assert differences(book, rules.Book(book.parties, {}), DAY) == [
        "closes: team receives nothing any more; destruction is due"
    ]


def test_what_takes_effect_later_is_told_with_its_day(tmp_path):
    assert told(tmp_path, withdrawn=dt.date(2026, 12, 1)) == [
        "closes: team: holds until 2026-12-01 instead of 2027-01-01",
        "from 2026-12-01 on: closes: team receives nothing any more; destruction is due",
    ]
    successor = changed(
        agreement="A-2",
        supersedes="A-1",
        effective=dt.date(2026, 11, 1),
        datasets={"dim_site": {"columns": ["site_id"]}},
    )
    assert told(tmp_path, successor)[1:] == [
        "from 2026-11-01 on: opens: team sees table dim_site (site_id)",
        "from 2026-11-01 on: closes: team no longer sees table fct_removal",
    ]


OPENED = {
    "another kind of party": (
        {"parties": {"parties": [p if p["id"] != "team" else {**p, "kind": "provider"} for p in PARTIES["parties"]]}},
        "opens: team counts as provider instead of court_team: other people's consents cover it",
    ),
    "another way to it": (
        {"delivery": {"modes": ["files", "postgres"]}},
        "opens: team gets fct_removal from PostgreSQL",
    ),
    "another legal basis": (
        {"legal_basis": ["42 USC 5106a"]},
        "changes: team: legal_basis is 42 USC 5106a instead of 42 USC 671(a)(8)",
    ),
    "another office": (
        {"approvals": [{"by": "Clerk", "date": DAY}]},
        "changes: team: approvals is Clerk (2026-09-30) instead of Privacy officer (2025-12-01)",
    ),
    "shared IDs": ({"delivery": {"ids": "shared"}}, "opens: team: IDs that join with other partners' files"),
    "sealed records": ({"sealed_records": "Rule 12"}, "opens: team: sealed records"),
    "everyone": ({"people": "everyone"}, "opens: team sees fct_removal for everyone"),
}


@pytest.mark.parametrize("case", OPENED)
def test_every_way_to_open_something_is_told(tmp_path, case):
    keys, line = OPENED[case]
    assert told(tmp_path, **keys) == [line]


def test_one_line_for_what_is_true_of_several_tables(tmp_path):
    two = {"a": {"columns": ["x"]}, "b": {"columns": ["x"]}}
    old = rules.load(folder(tmp_path / "old", changed(datasets=two, classes_denied=["sud_p2"])))
    new = rules.load(folder(tmp_path / "new", changed(datasets=two)))
    assert differences(old, new, DAY) == ["opens: team: class sud_p2 is no longer denied in all its tables"]


def test_a_signed_declassification_opens(tmp_path):
    signed = {"table": "dim_family", "column": "child_count", "classes": ["cw_case"], "because": "a count alone",
              "signed_by": "Privacy officer", "date": DAY}  # fmt: skip
    new = folder(tmp_path / "new")
    (new / "declassifications.yml").write_text(yaml.safe_dump({"declassifications": [signed]}))
    old = rules.load(folder(tmp_path / "old"))
    assert differences(old, rules.load(new), DAY) == ["opens: dim_family.child_count no longer counts as cw_case"]


def test_the_tables_say_what_the_agreements_say(tmp_path):
    newer = changed(agreement="A-2", supersedes="A-1", effective=dt.date(2026, 6, 1))
    rules.write_tables(rules.load(folder(tmp_path / "a", AGREEMENT, newer)), tmp_path / "gov")
    ask = duckdb.connect().execute
    at = f"'{tmp_path}/gov"
    assert ask(
        f"select agreement_id from read_parquet({at}/gov_agreement.parquet') where effective <= date '2026-07-01'"
        " and date '2026-07-01' < least(expires, withdrawn, superseded_on)"
    ).fetchall() == [("A-2",)]
    assert ask(
        f"select table_name, column_name from read_parquet({at}/gov_agreement_column.parquet')"
        " where agreement_id = 'A-1' order by place"
    ).fetchall() == [("fct_removal", "person_id"), ("fct_removal", "county")]
    assert ask(f"select count(*) from read_parquet({at}/gov_tribal_approval.parquet')").fetchall() == [(0,)]


def test_the_demo_s_eight_agreements_hold():
    book = rules.load(DEMO)
    assert set(book.partners(DAY)) == {
        "behavioral_health_provider", "child_welfare_agency", "court_team", "family_court", "medicaid_agency", "public",
        "river_nation", "state_university",
    }  # fmt: skip


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a demo made here before would be found
    run = CliRunner().invoke
    assert "8 agreements can be read" in run(commands, ["check", str(DEMO)]).output
    bad = run(commands, ["check", str(folder(tmp_path / "a", changed(purposes=["x"])))])
    assert bad.exit_code == 1 and "purposes.0" in bad.output
    assert "nothing changes" in run(commands, ["diff", str(DEMO), str(DEMO)]).output
