"""A reviewer's desk: the next open question, both records side by side, and the decision taken down.

The terminal, the spreadsheet and the page are three faces of this. Names are shown because the reviewer needs them;
they are returned to the face that asked and written nowhere. The score and what the linkage did are told only once a
pair is decided, or the reviewer would follow them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyascii import anyascii

from linkage.review import decisions as reviewed
from linkage.review.queue import hide_sealed, item_of, stated
from linkage.review.words import FAMILY_REASONS, GROUNDS, LEVEL_WORDS, REASONS
from linkage.standardize import STREET_TYPES, UNITS
from linkage.store import connect, quoted, rows

#: Share of the audit sample (one in so many) that a second reviewer decides too, so that agreement can be measured.
SECOND_LOOK = 10

#: What a reviewer sees of a record, in this order: label and the columns it is made of.
_SHOWN = {
    "name": ("first_name", "middle_name", "last_name", "name_suffix"),
    "earlier surname": ("maiden_name",),
    "birth date": ("birth_date",),
    "sex": ("sex",),
    "SSN": ("ssn", "ssn_last4"),
    "Medicaid number": ("medicaid_id",),
    "address": ("address_line", "address_line_2", "city", "state", "zip"),
    "phone": ("phone",),
    "mother": ("mother_first_name", "mother_last_name"),
    "race, ethnicity": ("race_ethnicity",),
    "died": ("death_date",),
    "role": ("record_role",),
}
_FROM_RECORDS = {
    "first_name": "first_std",
    "middle_name": "middle_std",
    "last_name": "last_std",
    "name_suffix": "suffix",
    "birth_date": "dob",
    "sex": "sex",
    "ssn": "ssn",
    "ssn_last4": "last4",
    "medicaid_id": "medicaid_id",
    "address_line": "array_to_string(addr_keys, ' / ')",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "phone": "phone",
    "mother_first_name": "mother_first",
    "mother_last_name": "mother_last",
    "race_ethnicity": "race_ethnicity",
    "death_date": "death_date",
    "record_role": "record_role",
}


#: Four digits and more, however they are divided: a year, a date, the end of a number.
_LONG_NUMBER = re.compile(r"\d(?: ?\d){3}")
_NAMES = ("name", "earlier surname", "mother", "parents", "children")
_NOT_PRIVATE = ("record", "sex", "race, ethnicity", "role")
#: Words that are many addresses', and of two letters those that are more than names.
_STREETS = {word.lower() for word in (*STREET_TYPES, *STREET_TYPES.values(), *UNITS.split("|"), "WAY")}
_SMALL = re.compile("a[mnst]|b[ey]|do|go|he|i[fnst]|m[ey]|no|o[fnr]|so|to|u[ps]|we|jr|sr|ii|iv")


def _words(text: str) -> list[str]:
    """The words of ``text`` in small Latin letters without accents; what is no letter and no digit divides them."""
    return re.findall(r"[^\W_]+", anyascii(text).casefold())


def _private(key: reviewed.Key, record: dict[str, str]) -> set[str]:
    """The words of a record that a reason must not repeat."""
    # A part of a record's number that is a plain word tells nothing.
    found = {word for word in _words(key[1]) if not word.isalpha() and len(word) > (2 if word.isdigit() else 1)}
    for label, value in record.items():
        if label in _NAMES:
            found |= {w for w in _words(value) if len(w) > 1 and not w.isdigit() and not _SMALL.fullmatch(w)}
        elif label not in _NOT_PRIVATE:
            found |= {w for w in _words(value) if len(w) > 2 and (label != "address" or w not in _STREETS)}
    return found


@dataclass(frozen=True)
class Question:
    """One pair to decide; ``list`` says from which list of the queue."""

    item: str
    list: str
    reason: str
    words: str
    consequence: str
    pair: reviewed.Pair

    @property
    def why(self) -> str:
        """Why it is shown, in words."""
        return REASONS[self.reason]


@dataclass(frozen=True)
class Told:
    """What a reviewer learns after deciding."""

    is_linked: bool
    weight: float | None
    state: str

    @property
    def words(self) -> str:
        """One line."""
        linked = "one person" if self.is_linked else "two people"
        if self.weight is None:
            score = "The model had not compared these records"
        else:
            odds = min(2 ** abs(self.weight), 1e6)
            score = f"The model's odds: {odds:,.0f} to 1 {'for' if self.weight >= 0 else 'against'} one person"
        end = {
            "disputed": " Another reviewer decided otherwise: a third, or a supervisor, has to say.",
            "contradicted": " It cannot hold beside other decisions or what sources state: a supervisor has to say.",
            "ruled": " It cannot hold beside other decisions or what sources state: none of them is followed until you "
            "have ruled on those as well (kinweave review --supervisor --again NUMBER).",
            "unsure": " It stays open for somebody else.",
        }.get(self.state, " It counts from the next night on.")
        return f"{score}; the linkage had them as {linked}.{end}"


class Desk:
    """The questions of one reviewer.

    ``linkage_dir`` holds the night's ``review_queue.parquet`` and ``records.parquet``; ``staged_dir`` the sources' own
    spelling, where there is one. ``only`` narrows to the list ``review`` or ``audit``; ``again`` to the pair of the
    decision of this number, also where it is settled and no longer asked.

    Raises :class:`~linkage.review.decisions.ReviewError` when no night has written a queue, a file of the night is
    missing, nobody is named, or there is no decision ``again``.
    """

    def __init__(
        self,
        linkage_dir: Path,
        decisions: Path,
        reviewer: str,
        role: str = "reviewer",
        staged_dir: Path | None = None,
        only: str | None = None,
        again: str | None = None,
    ) -> None:
        path = check_night(linkage_dir)
        if role not in reviewed.ROLES:
            raise reviewed.ReviewError(f"a reviewer's role is one of {', '.join(reviewed.ROLES)}")
        self.reviewer = reviewed.clean_reason(reviewer)
        if not self.reviewer:
            raise reviewed.ReviewError("a decision needs the reviewer's name")
        self.decisions, self.role, self.linkage_dir = decisions, role, linkage_dir
        self._staged = sorted((staged_dir or linkage_dir / "none").glob("*__person_records.parquet"))
        con = connect(spill_dir=linkage_dir / "spill")
        try:
            found = rows(con, f"select * from read_parquet({quoted(path)}) order by list desc, position")
        finally:
            con.close()
        self._facts = {row["item"]: row for row in reversed(found)}
        self._order = [
            Question(
                row["item"],
                row["list"],
                row["reason"],
                row["words"],
                row["consequence"],
                (
                    (row["source_system_a"], row["source_record_id_a"]),
                    (row["source_system_b"], row["source_record_id_b"]),
                ),
            )
            for row in found
            if only in (None, row["list"])
        ]
        if again is not None:
            self._order = [self._asked_again(again)]
        self._by_item = {q.item: q for q in reversed(self._order)}
        self._audited = {row["item"] for row in found if row["list"] == "audit"}
        self._decided: set[str] = set()
        known = reviewed.must_links(reviewed.verdicts(reviewed.read(decisions).lines))
        self._stated = stated(linkage_dir, [*known, *(reviewed.pair_of(*q.pair) for q in self._order)])

    def open(self) -> list[Question]:
        """What this reviewer may still decide, most consequential first, the audit sample after it.

        Reads the decisions anew: somebody else may be deciding at the same time.
        """
        lines = reviewed.read(self.decisions).lines
        found = reviewed.verdicts(lines)
        clashing = self._clashing(found)
        me = self.reviewer.casefold()
        mine = {d.pair for d in lines if d.reviewer.casefold() == me}
        ruled = {d.pair for d in lines if d.reviewer.casefold() == me and d.role == "supervisor"}
        open_: list[Question] = []
        seen: set[str] = set()
        for question in self._order:
            pair = reviewed.pair_of(*question.pair)
            verdict = found.get(pair)
            # Nobody is asked twice at one sitting.
            if question.item in seen or question.item in self._decided:
                continue
            seen.add(question.item)
            if question.reason == "again":
                open_.append(question)
            elif self.role == "supervisor" and (pair in clashing or (verdict and verdict.state == "disputed")):
                if pair not in ruled:
                    open_.append(question)
            elif pair in mine:
                # Who helped to make a contradiction may think again; who disagrees with somebody has had their say.
                if pair in clashing:
                    open_.append(question)
            elif verdict is None or verdict.state != "settled" or self._again(question, verdict):
                open_.append(question)
        return open_

    def _asked_again(self, number: str) -> Question:
        """The pair of decision ``number`` as a question, and in ``_facts`` what the night made of it."""
        pairs = {d.decision_id: d.pair for d in reviewed.read(self.decisions).lines}
        if number not in pairs:
            raise reviewed.ReviewError("there is no decision of this number")
        pair, item = pairs[number], item_of(pairs[number])
        con = connect(spill_dir=self.linkage_dir / "spill")
        try:
            crosswalk = f"read_parquet({quoted(self.linkage_dir / 'person_crosswalk.parquet')})"
            asked = f"select person_id from {crosswalk} where source_system = ? and source_record_id = ?"
            people = [con.execute(asked, list(key)).fetchall() for key in pair]
            # Nor is one whom a sealed adoption hides: side by side the two records are what the seal keeps apart.
            hide_sealed(con, self.linkage_dir)
            records = f"read_parquet({quoted(self.linkage_dir / 'records.parquet')})"
            open_ = (
                f"select 1 from {records} anti join hidden using (rid) where source_system = ? and source_record_id = ?"
            )
            is_shown = [bool(con.execute(open_, list(key)).fetchall()) for key in pair]
        finally:
            con.close()
        if not all(people) or not all(is_shown):
            raise reviewed.ReviewError("a record of this decision is not there now, or must not be shown")
        self._facts.setdefault(item, {"is_linked": people[0] == people[1], "weight": None})
        known = next((q for q in self._order if q.item == item), None)
        if known is None:
            return Question(item, "review", "again", "", "", pair)
        return Question(item, known.list, "again", known.words, known.consequence, known.pair)

    def said(self, question: Question) -> list[str]:
        """For a supervisor, who has to know: what stands on a pair, vote by vote, and what it cannot hold beside.

        Nothing for a reviewer, who is asked for a view of their own.
        """
        if self.role != "supervisor":
            return []
        lines = reviewed.read(self.decisions).lines
        pair = reviewed.pair_of(*question.pair)
        latest = {d.reviewer.casefold(): d for d in lines if d.pair == pair}
        told = [
            f"decision {d.decision_id}, {d.reviewer or 'nobody named'}: {LEVEL_WORDS[d.level]}"
            + (f" ({d.reason})" if d.reason else "")
            for d in latest.values()
        ]
        found = reviewed.verdicts(lines)
        for clash in reviewed.contradictions(found, self._stated):
            if pair in clash:
                others = sorted(
                    {i for p in clash if p != pair for i in found[p].decision_ids}, key=lambda i: (len(i), i)
                )
                told.append(
                    "cannot hold beside " + (f"decisions {', '.join(others)}" if others else "what sources state")
                )
        return told

    def _clashing(self, found: dict[reviewed.Pair, reviewed.Verdict]) -> set[reviewed.Pair]:
        return {p for clash in reviewed.contradictions(found, self._stated) for p in clash}

    def _again(self, question: Question, verdict: reviewed.Verdict) -> bool:
        second = question.item in self._audited and int(question.item, 16) % SECOND_LOOK == 0
        return second and len(verdict.reviewers) == 1

    def question(self, item: str) -> Question:
        """The question named ``item``. Raises ReviewError when the queue has none of this name."""
        if item not in self._by_item:
            raise reviewed.ReviewError(f"the queue has no pair {item if item.isalnum() else ''}".rstrip())
        return self._by_item[item]

    def records(self, questions: list[Question]) -> dict[reviewed.Key, dict[str, str]]:
        """What is known of each record of ``questions``: label -> values as delivered, several joined with " / "."""
        keys = sorted({k for q in questions for k in q.pair})
        if not keys:
            return {}
        con = connect(spill_dir=self.linkage_dir / "spill")
        try:
            con.execute("create table wanted (source_system varchar, source_record_id varchar)")
            con.executemany("insert into wanted values (?, ?)", [list(k) for k in keys])
            standard = f"read_parquet({quoted(self.linkage_dir / 'records.parquet')})"
            columns = ", ".join(f"{column} as {name}" for name, column in _FROM_RECORDS.items())
            found = rows(
                con,
                f"select source_system, source_record_id, {columns} from {standard} "
                "semi join wanted using (source_system, source_record_id) order by 1, 2",
            )
            shown = {(r["source_system"], r["source_record_id"]): [r] for r in found}
            if self._staged:
                files = ", ".join(quoted(f) for f in self._staged)
                raw = rows(
                    con,
                    f"select * from read_parquet([{files}], union_by_name = true) "
                    "semi join wanted using (source_system, source_record_id) "
                    "order by case row_kind when 'primary' then 0 when 'alias' then 1 else 2 end, "
                    "source_table, last_name, first_name, address_line, birth_date",
                )
                own: dict[reviewed.Key, list[dict[str, Any]]] = {}
                for r in raw:
                    own.setdefault((r["source_system"], r["source_record_id"]), []).append(r)
                shown |= own
            kin = self._relatives(con, standard)
        finally:
            con.close()
        return {key: {"record": f"{key[0]} {key[1]}", **_fold(shown.get(key, [])), **kin.get(key, {})} for key in keys}

    def _relatives(self, con: Any, standard: str) -> dict[reviewed.Key, dict[str, str]]:
        """The names of stated parents and children of the records in table ``wanted``, less whom a seal hides."""
        path = self.linkage_dir / "relationships.parquet"
        hide_sealed(con, self.linkage_dir)
        con.execute(f"create table own as select rid, source_system, source_record_id, first_std, last_std, dob "
                    f"from {standard} anti join hidden using (rid)")  # fmt: skip
        found = con.execute(f"""
        with told as (
            select rid_a as me, rid_b as other, 'children' as label from read_parquet({quoted(path)})
            where relationship in ('mother_of', 'father_of', 'putative_father_of', 'parent_of')
            union
            select rid_b, rid_a, 'parents' from read_parquet({quoted(path)})
            where relationship in ('mother_of', 'father_of', 'putative_father_of', 'parent_of')
        )
        select m.source_system, m.source_record_id, t.label,
            string_agg(nullif(concat_ws(' ', o.first_std, o.last_std, o.dob), ''), ' / ' order by o.dob, o.rid)
        from told t join own m on m.rid = t.me join own o on o.rid = t.other
        semi join wanted w on w.source_system = m.source_system and w.source_record_id = m.source_record_id
        group by all order by all
        """).fetchall()
        kin: dict[reviewed.Key, dict[str, str]] = {}
        for system, record, label, names in found:
            if names:
                kin.setdefault((system, record), {})[label] = names
        return kin

    def decide(self, item: str, level: str, reason: str) -> Told:
        """Take down this reviewer's decision on ``item`` and tell what the linkage had made of it.

        Raises :class:`~linkage.review.decisions.ReviewError`, and records nothing, for an unknown pair or level, for no
        reason, for a reason that repeats a name, date or number of the two records, and for a decision that cannot hold
        beside others.
        """
        question = self.question(item)
        self.check_reason(question, reason)
        reviewed.append(self.decisions, [(question.pair, level, reason)], self.reviewer, self.role)
        self._decided.add(item)
        return self.tell(item)

    def check_reason(
        self, question: Question, reason: str, records: dict[reviewed.Key, dict[str, str]] | None = None
    ) -> None:
        """Refuse an empty reason, and one that carries what belongs in the vault into the file of decisions.

        Refused are four digits and more, also in groups, a record's number, and any word of a name, place or relative
        of the two records, whatever stands around it and whatever accents it has.
        """
        words = _words(reviewed.clean_reason(reason))
        if not words:
            raise reviewed.ReviewError("a decision needs a reason")
        if words in map(_words, GROUNDS):
            return
        shown = records or self.records([question])
        private = {word for key in question.pair for word in _private(key, shown[key])}
        numbers = {"".join(_words(record)) for _, record in question.pair}
        if (
            _LONG_NUMBER.search(" ".join(words))
            or private & set(words)
            or any(number in "".join(words) for number in numbers if len(number) > 2 and not number.isalpha())
        ):
            raise reviewed.ReviewError("the reason repeats a name, date or number: say it without")

    def tell(self, item: str) -> Told:
        """What the model and the linkage had made of a pair. For after the decision."""
        facts = self._facts[item]
        found = reviewed.verdicts(reviewed.read(self.decisions).lines)
        pair = reviewed.pair_of(*self._by_item[item].pair)
        state = found[pair].state if pair in found else "unsure"
        if pair in self._clashing(found):
            state = "ruled" if self.role == "supervisor" else "contradicted"
        return Told(bool(facts["is_linked"]), facts["weight"], state)


def labels(*records: dict[str, str]) -> list[str]:
    """The labels any of the records has, in the order they are shown."""
    return [name for name in ("record", *_SHOWN, "parents", "children") if any(name in r for r in records)]


def _fold(found: list[dict[str, Any]]) -> dict[str, str]:
    """Rows of one record as label -> distinct values in the order of the rows."""
    out: dict[str, str] = {}
    for label, columns in _SHOWN.items():
        values: list[str] = []
        for row in found:
            parts = [str(row[c]).strip() for c in columns if row.get(c) not in (None, "")]
            if label == "name" and not parts and row.get("full_name"):
                parts = [str(row["full_name"]).strip()]
            if label == "SSN":
                # The last four digits are enough to compare, and to look somebody up there are better ways.
                parts = ["…" + parts[0][-4:]] if parts else []
            if parts and (value := " ".join(parts)) not in values:
                values.append(value)
        if values:
            out[label] = " / ".join(values)
    return out


def family_questions(linkage_dir: Path) -> list[tuple[str, str, str]]:
    """What is odd about families: the reason in words, and the record numbers of the one or two people it is about.

    They ask about a statement of an agency, not about two records, so no decision here answers them: the agency does.
    """
    path = linkage_dir / "family_review.parquet"
    if not path.exists():
        return []
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        found = con.execute(f"""
        with held as (
            select person_id, string_agg(source_system || ' ' || source_record_id, chr(10)
                order by source_system, source_record_id) as records
            from read_parquet({quoted(linkage_dir / "person_crosswalk.parquet")}) group by person_id
        )
        select f.reason, a.records, coalesce(b.records, '') from read_parquet({quoted(path)}) f
        join held a using (person_id) left join held b on b.person_id = f.other_person_id
        where f.reason <> 'perhaps_one_parent' order by all
        """).fetchall()
    finally:
        con.close()
    return [(FAMILY_REASONS[reason], one, other) for reason, one, other in dict.fromkeys(found)]


def check_night(linkage_dir: Path) -> Path:
    """The queue of the night in ``linkage_dir``. Raises ReviewError where it, or a file it is read with, is missing."""
    path = linkage_dir / "review_queue.parquet"
    if not path.exists():
        raise reviewed.ReviewError("no night has left a review queue yet: run `kinweave run` first")
    needed = ("records.parquet", "relationships.parquet", "person_crosswalk.parquet", "constraints_in_force.parquet")
    if missing := [name for name in needed if not (linkage_dir / name).exists()]:
        raise reviewed.ReviewError(
            f"the night's {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: run `kinweave run` first"
        )
    return path


def status(linkage_dir: Path, decisions: Path) -> dict[str, int]:
    """How much is open and decided: counts only."""
    path = check_night(linkage_dir)
    read_ = reviewed.read(decisions)
    found = reviewed.verdicts(read_.lines)
    clashes = reviewed.contradictions(found, stated(linkage_dir, reviewed.must_links(found)))
    aside = {p for clash in clashes for p in clash}
    con = connect(spill_dir=linkage_dir / "spill")
    try:
        queue = rows(con, f"select * from read_parquet({quoted(path)})")
        alive = {
            (r[0], r[1])
            for r in con.execute(
                "select source_system, source_record_id from "
                f"read_parquet({quoted(linkage_dir / 'records.parquet')})"
            ).fetchall()
        } if read_.lines else set()  # fmt: skip
    finally:
        con.close()

    def settled(row: dict[str, Any]) -> bool:
        a = (row["source_system_a"], row["source_record_id_a"])
        pair = reviewed.pair_of(a, (row["source_system_b"], row["source_record_id_b"]))
        return pair in found and found[pair].state == "settled" and pair not in aside

    return {
        "open questions": sum(r["list"] == "review" and not settled(r) for r in queue),
        "audit pairs": sum(r["list"] == "audit" for r in queue),
        "audit pairs decided": sum(r["list"] == "audit" and settled(r) for r in queue),
        "decisions": len(read_.lines),
        "idle decisions (a record is not there now)": sum(
            not (d.pair[0] in alive and d.pair[1] in alive) for d in read_.lines
        ),
        "disputed pairs": sum(v.state == "disputed" for v in found.values()),
        "decisions set aside (they contradict each other or what sources state)": sum(
            len(found[p].decision_ids) for p in aside
        ),
        "lines that are no decision": len(read_.unreadable),
        "odd families to ask the agencies about (second sheet of --export)": len(family_questions(linkage_dir)),
    }
