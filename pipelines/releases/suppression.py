"""Small cells: hidden, and kept hidden from arithmetic.

One pattern is made for all partners from the measures of the release, so that no two partners can pool what each was
shown. A row is one cell: it is shown whole or not at all. Primary: a numerator, a denominator or their difference from
1 to the threshold less one. Complementary: further rows of the same breakdown until nobody can work a hidden count out
from the total and the rest, whether in this measure, in another one that counts the same people, or in an earlier
release. :func:`attack` is the proof: a linear program that tries.

Sources: CMS cell size suppression policy (no cell 1 to 10, none derivable); complementary suppression as audited by
linear programming (Fischetti and Salazar 2000).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

#: A row's place: metric, variant, period start, period end, stratum type, stratum value.
Key = tuple[str, str, str, str, str, str]
HIDDEN = "fewer than {threshold}, or would give such a number away"
TRIBAL = "withheld until the tribe approves"
_QUANTITIES = ("numerator", "denominator")
#: No count is larger than this.
_NO_BOUND = 10**7


@dataclass
class Row:
    """One row of the measures: counts may be missing (not mature, or no denominator)."""

    key: Key
    numerator: int | None
    denominator: int | None
    is_tribal: bool = False

    @property
    def block(self) -> tuple[str, ...]:
        """The breakdown it belongs to: everything but the stratum's value."""
        return self.key[:5]

    @property
    def total(self) -> Key:
        """The row that counts everybody."""
        return (*self.key[:4], "all", "all")


def is_small(row: Row, threshold: int) -> bool:
    """Whether a row must be hidden for itself."""
    counts = [row.numerator, row.denominator]
    if row.numerator is not None and row.denominator is not None:
        counts.append(row.denominator - row.numerator)
    return any(c is not None and 0 < c < threshold for c in counts)


@dataclass
class Line:
    """One published sum: these cells add up to ``total``.

    ``rows`` are all rows that show a cell. ``partners`` are the sums of the other quantity of the same rows: a
    numerator is never above its denominator, so a reader who knows one has a bound for the other.
    """

    quantity: str
    total: int
    cells: list[int]
    rows: dict[int, set[Key]] = field(default_factory=lambda: defaultdict(set))
    cell_of: dict[Key, int] = field(default_factory=dict)
    total_rows: set[Key] = field(default_factory=set)
    sensitive: set[int] = field(default_factory=set)
    partners: list[Line] = field(default_factory=list)

    def unknown(self, hidden: set[Key], known: set[Key]) -> list[int]:
        """Cells that no row shows, now or earlier."""
        return [c for c, keys in sorted(self.rows.items()) if keys <= hidden and not keys & known]

    def box(self, cell: int, hidden: set[Key], known: set[Key]) -> tuple[int, int]:
        """What a reader knows of an unknown cell without the sum: bounds from the other quantity where it is shown."""
        seen = []
        for partner in self.partners:
            unknown = partner.unknown(hidden, known)
            cells = {partner.cell_of[key] for key in self.rows[cell] if key in partner.cell_of}
            seen += [partner.cells[c] for c in cells if c not in unknown]
        if self.quantity == "numerator":
            return 0, min(seen, default=_NO_BOUND)
        return max(seen, default=0), _NO_BOUND

    def has_total(self, hidden: set[Key], known: set[Key]) -> bool:
        return not self.total_rows <= hidden or bool(self.total_rows & known)


def lines(rows: Mapping[Key, Row], threshold: int) -> list[Line]:
    """The sums a reader can form: breakdowns whose cells add up to the row of everybody.

    Breakdowns of one period with the same numbers are taken for the same people, whichever measure or kind of group
    shows them (a county and its only site): a reader may. Cells of 0 are left out: they may be shown.
    """
    blocks: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows.values():
        if row.key[4] != "all":
            blocks[row.block].append(row)
    found: dict[tuple[object, ...], Line] = {}
    for block, members in blocks.items():
        everybody = rows.get(members[0].total)
        of_block = []
        for quantity in _QUANTITIES:
            counts = [getattr(r, quantity) for r in members]
            total = getattr(everybody, quantity) if everybody else None
            if everybody is None or total is None or None in counts or sum(counts) != total:
                continue
            counted = sorted((r for r in members if getattr(r, quantity)), key=lambda r: (getattr(r, quantity), r.key))
            cells = [getattr(r, quantity) for r in counted]
            line = found.setdefault((quantity, block[2], block[3], *cells), Line(quantity, total, cells))
            of_block.append(line)
            line.total_rows.add(everybody.key)
            for cell, row in enumerate(counted):
                line.rows[cell].add(row.key)
                line.cell_of[row.key] = cell
                if _is_sensitive(row, quantity, threshold):
                    line.sensitive.add(cell)
        if len(of_block) == 2:
            of_block[0].partners.append(of_block[1])
            of_block[1].partners.append(of_block[0])
    return list(found.values())


def _is_sensitive(row: Row, quantity: str, threshold: int) -> bool:
    """Whether this count must not be narrowed down: it is small, or its distance to the other count is."""
    count = getattr(row, quantity)
    rest = row.denominator - row.numerator if row.numerator is not None and row.denominator is not None else 0
    return row.is_tribal or 0 < count < threshold or (quantity == "numerator" and 0 < rest < threshold)


def suppress(
    rows: Iterable[Row], threshold: int = 11, *, shown_before: Mapping[Key, tuple[int | None, int | None]] | None = None
) -> dict[Key, str]:
    """Rows to hide, with the reason each carries.

    ``shown_before`` holds the figures readers were shown last for each row. A row whose figures moved by a small
    number since is hidden, because the difference is a small cell; a row hidden before and unchanged stays hidden.
    Primary and complementary rows carry the same reason: which is which would help to guess.
    """
    table = {row.key: row for row in rows}
    before = dict(shown_before or {})
    hidden = {
        k for k, r in table.items() if is_small(r, threshold) or r.is_tribal or _moved_little(r, before, threshold)
    }
    known = _known_from_before(table, before)
    sums = lines(table, threshold)
    for line in sums:
        for cell in line.sensitive:
            # What is hidden in one measure is not shown in another that counts the same people.
            hidden |= line.rows[cell]
    hidden |= _over_empty_totals(table, hidden)
    changed = True
    while changed:
        changed = False
        for line in sums:
            more = _protect(line, hidden, known, threshold)
            if more:
                hidden |= more
                changed = True
        grown = _over_empty_totals(table, hidden) - hidden
        if grown:
            hidden |= grown
            changed = True
    reason = HIDDEN.format(threshold=threshold)
    return {k: TRIBAL if table[k].is_tribal else reason for k in sorted(hidden)}


def _moved_little(row: Row, before: Mapping[Key, tuple[int | None, int | None]], threshold: int) -> bool:
    was = before.get(row.key)
    if was is None:
        return False
    pairs = [(row.numerator, was[0]), (row.denominator, was[1])]
    return any(a is not None and b is not None and 0 < abs(a - b) < threshold for a, b in pairs)


def _known_from_before(table: Mapping[Key, Row], before: Mapping[Key, tuple[int | None, int | None]]) -> set[Key]:
    """Rows that readers know already: shown earlier with the figures they have now."""
    return {k for k, was in before.items() if k in table and was == (table[k].numerator, table[k].denominator)}


def _over_empty_totals(table: Mapping[Key, Row], hidden: set[Key]) -> set[Key]:
    """Rows of breakdowns whose total is hidden for its smallness: they would add up to it."""
    return {
        k for k, r in table.items() if k[4] != "all" and r.total in hidden and (r.numerator, r.denominator) != (0, 0)
    }


def _protect(line: Line, hidden: set[Key], known: set[Key], threshold: int) -> set[Key]:
    """Rows to hide besides, so that no sensitive cell of the line can be worked out closely. Empty when it is safe."""
    added: set[Key] = set()
    while line.has_total(hidden | added, known):
        unknown = line.unknown(hidden | added, known)
        room = sum(line.cells[c] for c in unknown)
        box = {c: line.box(c, hidden | added, known) for c in unknown}
        floors, caps = sum(b[0] for b in box.values()), sum(min(b[1], room) for b in box.values())
        if all(
            min(box[c][1], room - floors + box[c][0]) - max(box[c][0], room - caps + min(box[c][1], room))
            >= threshold - 1
            for c in unknown
            if c in line.sensitive
        ):
            break
        candidates = [c for c in line.rows if c not in unknown and not line.rows[c] & known]
        if not candidates:
            added |= line.total_rows
            break
        # The smallest cell that gives enough room costs the least information.
        chosen = min(candidates, key=lambda c: (room + line.cells[c] < threshold - 1, line.cells[c], c))
        added |= line.rows[chosen]
    return added - hidden


def attack(
    rows: Iterable[Row],
    hidden: Iterable[Key],
    threshold: int = 11,
    *,
    shown_before: Mapping[Key, tuple[int | None, int | None]] | None = None,
) -> list[tuple[Key, str]]:
    """Hidden counts that a reader can narrow to less than a threshold's width: (row, quantity); empty is good.

    Every sum of :func:`lines` becomes an equation over the unknown cells, with what is shown (now or earlier)
    substituted. The sums share no unknowns, so one linear program per rank of unknown finds a bound in every sum at
    once. Solved by HiGHS.
    """
    table = {row.key: row for row in rows}
    gone = set(hidden)
    known = _known_from_before(table, shown_before or {})
    sums = lines(table, threshold)
    told = [
        (key, line.quantity)
        for line in sums
        for cell in line.sensitive
        if not line.rows[cell] <= gone
        for key in line.rows[cell] & gone
    ]
    systems = [(line, line.unknown(gone, known)) for line in sums]
    systems = [(line, unknown) for line, unknown in systems if line.sensitive & set(unknown)]
    bounds = _bounds(systems, gone, known)
    found = [
        (key, line.quantity)
        for number, (line, unknown) in enumerate(systems)
        for cell in unknown
        if cell in line.sensitive and bounds[number, cell][1] - bounds[number, cell][0] < threshold - 1 - 1e-6
        for key in line.rows[cell]
    ]
    return sorted({*told, *found})


def _bounds(
    systems: list[tuple[Line, list[int]]], hidden: set[Key], known: set[Key]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Least and greatest value each sensitive unknown can have, by linear programs over all sums side by side."""
    columns: dict[tuple[int, int], int] = {}
    boxes: list[tuple[int, int]] = []
    entries: list[tuple[int, int]] = []
    right: list[int] = []
    for number, (line, unknown) in enumerate(systems):
        for cell in unknown:
            columns[number, cell] = len(columns)
            boxes.append(line.box(cell, hidden, known))
        if line.has_total(hidden, known):
            entries += [(len(right), columns[number, cell]) for cell in unknown]
            right.append(line.total - sum(count for cell, count in enumerate(line.cells) if cell not in unknown))
    result: dict[tuple[int, int], tuple[float, float]] = {}
    if not columns:
        return result
    matrix = coo_matrix(
        (np.ones(len(entries)), ([r for r, _ in entries], [c for _, c in entries])), shape=(len(right), len(columns))
    ).tocsr()
    wanted = [[c for c in unknown if c in line.sensitive] for line, unknown in systems]
    for rank in range(max(len(cells) for cells in wanted)):
        chosen = [(number, cells[rank]) for number, cells in enumerate(wanted) if rank < len(cells)]
        ends = []
        for sign in (1.0, -1.0):
            cost = np.zeros(len(columns))
            cost[[columns[c] for c in chosen]] = sign
            # A sum knows nothing of the others, so the least of all of them together is the least of each.
            solved = linprog(cost, A_eq=matrix if right else None, b_eq=right or None, bounds=boxes, method="highs")
            if not solved.success:
                raise RuntimeError("the published sums contradict each other")
            ends.append(solved.x)
        for c in chosen:
            result[c] = (float(ends[0][columns[c]]), float(ends[1][columns[c]]))
    return result
