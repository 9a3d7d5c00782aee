"""Names, dates, numbers and addresses brought to one form, in SQL so that it scales.

:func:`install` defines the macros on a connection; ``tests/linkage/cases/*.yaml`` states what each one does, as a
table of inputs and expected values. A macro never looks at another row; what needs the whole file (shared numbers,
year-only dates, crowded addresses) is in :mod:`linkage.records`.
"""

from __future__ import annotations

from functools import cache

import duckdb
import pyarrow as pa
from anyascii import anyascii
from nicknames import name_triplets

from linkage import placeholders
from linkage.store import in_list, quoted

STREET_TYPES = {
    "STREET": "ST",
    "STR": "ST",
    "AVENUE": "AVE",
    "AV": "AVE",
    "ROAD": "RD",
    "DRIVE": "DR",
    "DRV": "DR",
    "LANE": "LN",
    "COURT": "CT",
    "CRT": "CT",
    "PLACE": "PL",
    "BOULEVARD": "BLVD",
    "BOUL": "BLVD",
    "CIRCLE": "CIR",
    "CRESCENT": "CRES",
    "TERRACE": "TER",
    "TERR": "TER",
    "HIGHWAY": "HWY",
    "PARKWAY": "PKWY",
    "TRAIL": "TRL",
    "SQUARE": "SQ",
    "CLOSE": "CL",
    "NORTH": "N",
    "SOUTH": "S",
    "EAST": "E",
    "WEST": "W",
    "NORTHEAST": "NE",
    "NORTHWEST": "NW",
    "SOUTHEAST": "SE",
    "SOUTHWEST": "SW",
    "MOUNT": "MT",
    "SAINT": "ST",
    "FORT": "FT",
}

#: Words that belong to the surname after them.
PARTICLES = [
    "DE",
    "LA",
    "LOS",
    "LAS",
    "DEL",
    "DA",
    "DOS",
    "DU",
    "DI",
    "VAN",
    "VON",
    "DER",
    "DEN",
    "TER",
    "TEN",
    "EL",
    "AL",
    "BIN",
    "IBN",
    "MC",
    "MAC",
    "ST",
    "SAN",
    "SANTA",
    "Y",
    "E",
    "D",
    "O",
]

_SUFFIX = {
    "JR": "JR",
    "JUNIOR": "JR",
    "SR": "SR",
    "SENIOR": "SR",
    "II": "II",
    "2ND": "II",
    "III": "III",
    "3RD": "III",
    "IV": "IV",
    "4TH": "IV",
}
#: Words before the number of a dwelling in a house.
UNITS = "APT|APARTMENT|UNIT|STE|SUITE|LOT|TRLR|RM|ROOM|FL|FLOOR|NO|NUM"
_TITLES = ["MR", "MRS", "MS", "MISS", "DR", "REV", "HON", "SIR", "FR", "SGT", "CPT", "CAPT", "PROF"]


#: Spanish short names and what they may stand for; the library's are English.
_SPANISH = {
    "ANITA": "ANA", "BETO": "ALBERTO ROBERTO GILBERTO HUMBERTO", "CARLITOS": "CARLOS", "CHABELA": "ISABEL",
    "CHAGO": "SANTIAGO", "CHARO": "ROSARIO", "CHAVA": "SALVADOR", "CHAYO": "ROSARIO", "CHELA": "GRACIELA MARCELA",
    "CHELO": "CONSUELO", "CHENTE": "VICENTE", "CHEPE": "JOSE", "CHOLE": "SOLEDAD", "CHON": "CONCEPCION ENCARNACION",
    "CHUCHO": "JESUS", "CHUY": "JESUS", "CONCHA": "CONCEPCION", "CONCHITA": "CONCEPCION", "CUCA": "REFUGIO",
    "FER": "FERNANDO FERNANDA", "FINA": "JOSEFINA", "GOYO": "GREGORIO", "GUILLE": "GUILLERMO GUILLERMINA",
    "JAVI": "JAVIER", "JUANITA": "JUANA", "JUANITO": "JUAN", "KIKE": "ENRIQUE", "LALO": "EDUARDO", "LENCHO": "LORENZO",
    "LETY": "LETICIA", "LICHA": "ALICIA", "LILI": "LILIANA LILIA", "LOLA": "DOLORES", "LUCHA": "LUZ LUCIA",
    "LUPE": "GUADALUPE", "LUPITA": "GUADALUPE", "MAGO": "MARGARITA", "MANOLO": "MANUEL", "MARI": "MARIA",
    "MELA": "CARMELA", "MEMO": "GUILLERMO", "MERCHE": "MERCEDES", "MIGUELITO": "MIGUEL", "MONCHO": "RAMON",
    "NACHO": "IGNACIO", "NANDO": "FERNANDO", "NETO": "ERNESTO", "NICO": "NICOLAS", "PACA": "FRANCISCA",
    "PACO": "FRANCISCO", "PANCHA": "FRANCISCA", "PANCHO": "FRANCISCO", "PEDRITO": "PEDRO", "PEPA": "JOSEFA",
    "PEPE": "JOSE", "PILI": "PILAR", "POLO": "LEOPOLDO", "QUETA": "ENRIQUETA", "QUIQUE": "ENRIQUE", "RAFA": "RAFAEL",
    "ROSITA": "ROSA", "SUSY": "SUSANA", "TAVO": "GUSTAVO OCTAVIO", "TENCHA": "HORTENSIA", "TERE": "TERESA",
    "TERESITA": "TERESA", "TONO": "ANTONIO", "TOYA": "VICTORIA", "VICKY": "VICTORIA", "YOLI": "YOLANDA",
}  # fmt: skip


@cache
def nickname_forms() -> tuple[tuple[str, str], ...]:
    """(name, formal name it may stand for), upper case, each name also standing for itself."""
    pairs = {(t.name2.upper(), t.name1.upper()) for t in name_triplets()}
    pairs |= {(name, formal) for name, formals in _SPANISH.items() for formal in formals.split()}
    return tuple(sorted(pairs))


def _case(column: str, mapping: dict[str, str]) -> str:
    whens = " ".join(f"when {quoted(k)} then {quoted(v)}" for k, v in mapping.items())
    return f"case {column} {whens} else {column} end"


def install(con: duckdb.DuckDBPyConnection) -> None:
    """Define the standardising macros and the nickname table on ``con``.

    ``kw_latin(text)``               upper case in Latin letters without accents: DANG for Đặng, GROSS for Groß
    ``kw_words(text)``               the same without apostrophes, single spaces; NULL when nothing is left
    ``kw_name(text)``                the same without digits
    ``kw_is_placeholder(words)``     does this given name stand for "no name yet"?
    ``kw_birth_order(words)``        A, B, C or D from TWIN A, BOY 2 ...
    ``kw_sound(name)``               the name without the vowels, H, W and Y behind its first letter
    ``kw_suffix(word)``              JR, SR, II, III, IV or NULL
    ``kw_parse_full(text)``          struct(last, first, middle, suffix) from one string
    ``kw_ssn(text)``                 nine good digits or NULL
    ``kw_date(text)``                YYYY-MM-DD as text, even when no such day exists; NULL for placeholders
    ``kw_phone(text)``               ten digits or NULL
    ``kw_zip(text)``                 first five digits, or the whole code where it is no US code
    ``kw_street_line(text, text)``   two lines of an address as one: a unit follows, a care-of line gives way
    ``kw_address_words(words, words)``  struct(house, street, unit) of the words, and of those with # read as APT
    """
    strong, words = in_list(placeholders.OPENING_WORDS), in_list([*placeholders.OPENING_WORDS, *placeholders.WORDS])
    allowed = in_list([*placeholders.OPENING_WORDS, *placeholders.WORDS, *placeholders.FILLERS])
    suffixes, titles = in_list(_SUFFIX), in_list(_TITLES)
    macros = [
        # As many bytes as letters: nothing to transliterate.
        """kw_latin(t) as upper(case when strlen(t) = length(t) then t else kw_ascii(t) end)""",
        r"""kw_words(t) as nullif(trim(regexp_replace(regexp_replace(kw_latin(t::varchar),
            '[''`.]', '', 'g'), '[^A-Z0-9]+', ' ', 'g')), '')""",
        r"""kw_name(t) as nullif(trim(regexp_replace(regexp_replace(kw_words(t), '[0-9]+', ' ', 'g'),
            '\s+', ' ', 'g')), '')""",
        f"""kw_is_placeholder(w) as coalesce(
            split_part(w, ' ', 1) in {strong}
            or regexp_matches(w, '(^|[A-Z]+S )BABY( (BOY|GIRL))?$')
            or (len(list_filter(string_split(w, ' '), lambda x: x not in {allowed})) = 0
                and len(list_filter(string_split(w, ' '), lambda x: x in {words})) > 0), false)""",
        r"""kw_birth_order(w) as translate(nullif(regexp_extract(w,
            '(?:TWIN|TRIPLET|BOY|GIRL|BABY|BB|BG|MALE|FEMALE|BABYBOY|BABYGIRL) ?([A-D1-4])$', 1), ''),
            '1234', 'ABCD')""",
        r"""kw_sound(w) as left(w, 1) || regexp_replace(substr(w, 2), '[AEIOUYHW]', '', 'g')""",
        f"""kw_suffix(w) as case kw_words(w) {" ".join(f"when '{k}' then '{v}'" for k, v in _SUFFIX.items())} end""",
        # "LAST JR, FIRST MIDDLE", "LAST, FIRST MIDDLE JR", "LAST, FIRST MIDDLE, JR" and "FIRST MIDDLE LAST"
        f"""kw_strip_words(ws) as list_filter(ws, lambda x: x <> '' and x not in {suffixes} and x not in {titles})""",
        f"""kw_parse_full(t) as (case
            when t is null then null
            when contains(t, ',') then struct_pack(
                "last" := nullif(list_aggregate(kw_strip_words(string_split(coalesce(kw_words(split_part(t, ',', 1)),
                    ''), ' ')), 'string_agg', ' '), ''),
                given := kw_strip_words(string_split(coalesce(kw_words(substr(t, position(',' in t) + 1)), ''), ' ')),
                suffix := kw_suffix(list_filter(string_split(coalesce(kw_words(t), ''), ' '),
                    lambda x: x in {suffixes})[1]))
            else struct_pack(
                "last" := kw_strip_words(string_split(coalesce(kw_words(t), ''), ' '))[-1],
                given := kw_strip_words(string_split(coalesce(kw_words(t), ''), ' '))[:-2],
                suffix := kw_suffix(list_filter(string_split(coalesce(kw_words(t), ''), ' '),
                    lambda x: x in {suffixes})[1]))
            end)""",
        r"""kw_digits(t) as nullif(regexp_replace(t::varchar, '[^0-9]', '', 'g'), '')""",
        f"""kw_good_ssn(d) as coalesce(length(d) = 9 and substr(d, 1, 3) not in ('000', '666') and d[1] <> '9'
            and substr(d, 4, 2) <> '00' and substr(d, 6, 4) <> '0000'
            and length(replace(d, d[1], '')) > 0 and d not in {in_list(placeholders.SPECIMEN_SSNS)}, false)""",
        r"""kw_ssn(t) as (case when kw_good_ssn(lpad(kw_digits(t), 9, '0')) and length(kw_digits(t)) in (8, 9)
            then lpad(kw_digits(t), 9, '0') end)""",
        r"""kw_date_text(t) as (case
            when regexp_matches(t::varchar, '^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}') then substr(trim(t::varchar), 1, 10)
            when regexp_matches(t::varchar, '^\s*[0-9]{8}(\.0)?\s*$') then substr(trim(t::varchar), 1, 4) || '-'
                || substr(trim(t::varchar), 5, 2) || '-' || substr(trim(t::varchar), 7, 2)
            when regexp_matches(t::varchar, '^\s*[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}( [0-9:]+( ?[AaPp][Mm])?)?\s*$') then
                left(split_part(trim(t::varchar), '/', 3), 4)
                || '-' || lpad(split_part(trim(t::varchar), '/', 1), 2, '0')
                || '-' || lpad(split_part(trim(t::varchar), '/', 2), 2, '0')
            when regexp_matches(t::varchar, '^\s*[0-9]{1,2}[.][0-9]{1,2}[.][0-9]{4}\s*$') then
                split_part(trim(t::varchar), '.', 3) || '-' || lpad(split_part(trim(t::varchar), '.', 2), 2, '0')
                || '-' || lpad(split_part(trim(t::varchar), '.', 1), 2, '0')
            when regexp_matches(t::varchar, '^\s*[0-9]{4}\s*$') then trim(t::varchar) end)""",
        f"""kw_date(t) as (case when kw_date_text(t) in {in_list(placeholders.DATES)} then null
            else kw_date_text(t) end)""",
        r"""kw_phone(t) as (case when length(right(kw_digits(t), 10)) = 10
            and length(replace(right(kw_digits(t), 7), right(kw_digits(t), 1), '')) > 0
            then right(kw_digits(t), 10) end)""",
        r"""kw_zip(t) as (case when regexp_matches(t::varchar, '^\s*[0-9]{5}([- ]?[0-9]{4})?\s*$')
            then case when substr(trim(t::varchar), 1, 5) in ('00000', '99999') then null
                 else substr(trim(t::varchar), 1, 5) end
            when regexp_matches(t::varchar, '^\s*[0-9]{5}\.0\s*$') then substr(trim(t::varchar), 1, 5)
            else nullif(replace(kw_words(t), ' ', ''), '') end)""",
        f"""kw_street_words(w) as list_aggregate(list_transform(string_split(w, ' '),
            lambda x: {_case("x", STREET_TYPES)}), 'string_agg', ' ')""",
        rf"""kw_unit_of(w) as nullif(ltrim(regexp_extract(w,
            '(?:\b(?:{UNITS})\s+|#\s*)([A-Z0-9]+)\s*$', 1), '0'), '')""",
        rf"""kw_without_unit(w) as trim(regexp_replace(w, '(\b({UNITS})\s+|#\s*)([A-Z0-9]+)\s*$', ''))""",
        rf"""kw_two_lines(a, b, w) as (case
            when w is null then a
            when a is null then b
            when regexp_matches(kw_words(a), '^(C O|CARE OF) ') and regexp_matches(w, '^[0-9]+[A-Z]? [A-Z]') then b
            when regexp_matches(kw_words(replace(a, '#', ' APT ')), '\b({UNITS}) [A-Z0-9]+$') then a
            when regexp_matches(w, '^({UNITS}) [A-Z0-9]+$') then a || ' ' || w
            when regexp_matches(w, '^([A-Z]?[0-9]{{1,5}}|[0-9]{{0,5}}[A-Z])$') then a || ' APT ' || w
            else a end)""",
        """kw_street_line(a, b) as kw_two_lines(a, b, kw_words(replace(b, '#', ' APT ')))""",
        f"""kw_address_words(w, u) as (case when w is null
                or regexp_matches(w, {quoted(placeholders.ADDRESS_PATTERN)}) then null
            else struct_pack(
                house := nullif(regexp_extract(w, '^([0-9]+[A-Z]?) ', 1), ''),
                street := nullif(kw_street_words(trim(regexp_replace(kw_without_unit(u), '^[0-9]+[A-Z]? ', ''))), ''),
                unit := kw_unit_of(u)) end)""",
    ]
    if not con.execute("select 1 from duckdb_functions() where function_name = 'kw_ascii'").fetchall():
        con.create_function("kw_ascii", anyascii, ["VARCHAR"], "VARCHAR")
    for macro in macros:
        con.execute(f"create or replace macro {macro}")
    names, formals = zip(*nickname_forms(), strict=True)
    con.register("kw_nicknames_in", pa.table({"name": names, "formal": formals}))
    con.execute("create or replace table kw_nicknames as select * from kw_nicknames_in")
    con.unregister("kw_nicknames_in")
