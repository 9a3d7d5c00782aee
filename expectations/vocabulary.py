"""The closed lists a contract may draw from.

A shared person attribute enters ``PERSON_ATTRIBUTES`` only when two sources can fill it: a column that only
one source has stays that source's own.
"""

from __future__ import annotations

from enum import StrEnum


class ColumnType(StrEnum):
    """Loading type of a column; the SQL type it becomes is ``SQL_TYPES[...]``."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"


SQL_TYPES: dict[ColumnType, str] = {
    ColumnType.TEXT: "varchar",
    ColumnType.INTEGER: "bigint",
    ColumnType.DECIMAL: "decimal(18,4)",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.BOOLEAN: "boolean",
}

#: What a boolean indicator may look like in a file, lower case, before a contract narrows it.
TRUE_TOKENS = ("y", "yes", "true", "t", "1")
FALSE_TOKENS = ("n", "no", "false", "f", "0")


class Sensitivity(StrEnum):
    """Sensitivity class of a column. Every column has exactly one; a derived column has the union of its parents'."""

    NONE = "none"  # codes of things, not of people: a modifier, a file time stamp
    DIRECT_ID = "direct_id"  # names, full numbers, street lines, phones: raw, vault and quarantine only
    SOURCE_KEY = "source_key"  # an agency's own record number: joins inside the warehouse, never released
    QUASI_ID = "quasi_id"  # birth date, ZIP, race: identifies in combination
    SUD_P2 = "sud_p2"  # 42 CFR Part 2, including the mere fact of enrolment
    MEDICAID = "medicaid"
    PARTC = "partc"
    CW_CASE = "cw_case"
    COURT = "court"
    COURT_SEALED = "court_sealed"
    TRIBAL = "tribal"


#: Classes that may never leave raw, vault and quarantine.
IDENTIFYING = frozenset({Sensitivity.DIRECT_ID})


class Cadence(StrEnum):
    """How often a source promises to deliver."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMIANNUAL = "semiannual"


class Mode(StrEnum):
    """What one delivery of a table contains."""

    FULL = "full"  # every row: what is missing has been deleted
    CHANGE = "change"  # rows added, changed or deleted since the last one


class FileFormat(StrEnum):
    """How a table is written in its file."""

    DELIMITED = "delimited"
    FIXED_WIDTH = "fixed_width"
    XML = "xml"
    XLSX = "xlsx"


#: The conformed person record offered to linkage: attribute -> (SQL type, meaning).
PERSON_ATTRIBUTES: dict[str, tuple[str, str]] = {
    "full_name": ("varchar", "whole name as one string, usually LAST, FIRST MIDDLE SUFFIX"),
    "first_name": ("varchar", "given name as delivered"),
    "middle_name": ("varchar", "middle name or initial as delivered"),
    "last_name": ("varchar", "surname as delivered"),
    "maiden_name": ("varchar", "surname at birth or before marriage"),
    "name_suffix": ("varchar", "JR, SR, II ..."),
    "birth_date": ("date", "date of birth as delivered, placeholders included"),
    "is_birth_date_estimated": ("boolean", "the source says the date is an estimate"),
    "death_date": ("date", "date of death"),
    "sex": ("varchar", "F, M or null"),
    "ssn": ("varchar", "social security number as delivered"),
    "ssn_last4": ("varchar", "last four digits only, where that is all the source may give"),
    "medicaid_id": ("varchar", "Medicaid member number (MSIS ID) as this source knows it"),
    "mother_medicaid_id": ("varchar", "member number of the mother, stated on the child's row"),
    "address_line": ("varchar", "street line"),
    "address_line_2": ("varchar", "second line of an address: a unit, or the street under a care-of line"),
    "city": ("varchar", "city"),
    "state": ("varchar", "two-letter state"),
    "zip": ("varchar", "ZIP or ZIP+4"),
    "county": ("varchar", "county FIPS code"),
    "address_role": ("varchar", "home, placement, mailing, shelter or office"),
    "phone": ("varchar", "telephone number"),
    "race_ethnicity": ("varchar", "plain word where the source's code list has one, else as delivered"),
    "is_sealed": ("boolean", "record sealed by adoption or order"),
    "merged_into_record_id": ("varchar", "the source's own statement that this record was merged into another"),
    "mother_first_name": ("varchar", "mother's given name, stated on the child's row"),
    "mother_last_name": ("varchar", "mother's surname, stated on the child's row"),
    "case_key": ("varchar", "the source's own case grouping"),
}

#: Attributes that point at one person by themselves: a column offered as one of these is ``direct_id``.
NAMING_ATTRIBUTES = frozenset(
    {
        "full_name",
        "first_name",
        "middle_name",
        "last_name",
        "maiden_name",
        "ssn",
        "ssn_last4",
        "address_line",
        "address_line_2",
        "phone",
        "mother_first_name",
        "mother_last_name",
    }
)

#: Read left to right: ``person`` <relationship> ``related``.
RELATIONSHIPS = (
    "mother_of",
    "father_of",
    "putative_father_of",
    "parent_of",
    "adoptive_parent_of",
    "guardian_of",
    "spouse_of",
    "sibling_of",
    "grandparent_of",
    "relative_of",
    "foster_parent_of",
    # Statements about record numbers, not kin: one number replaced another, or a newborn left the mother's number.
    "same_person_as",
    "split_from",
    "other",
)

#: Roles a person can hold in a source's own case.
CASE_ROLES = ("child", "mother", "father", "putative_father", "guardian", "caregiver", "foster_parent", "other")
