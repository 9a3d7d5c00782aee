"""Values that stand for "not known" although they look like a name, a number or an address.

A placeholder that survives as a value makes thousands of unrelated records agree; as NULL it says nothing.
"""

from __future__ import annotations

#: First word of a given name that makes the whole given name a placeholder, whatever follows it.
OPENING_WORDS = [
    "BABY",
    "BABYBOY",
    "BABYGIRL",
    "BB",
    "BG",
    "BBOY",
    "BGIRL",
    "INFANT",
    "NEWBORN",
    "UNBORN",
    "NB",
    "FETUS",
    "UNKNOWN",
    "UNK",
    "UNKN",
    "UNNAMED",
    "UNIDENTIFIED",
    "REFUSED",
    "REFUSE",
    "DECLINED",
    "ANONYMOUS",
    "ANON",
    "WITHHELD",
    "RESPONDENT",
    "OCCUPANT",
    "RESIDENT",
    "HOUSEHOLDER",
    "TEST",
    "MALE",
    "FEMALE",
    "BOY",
    "GIRL",
    "ADULT",
    "CHILD",
]

#: Words of which a placeholder given name may consist entirely ("TWIN A", "FEMALE", "ADULT SON").
WORDS = [
    "TWIN",
    "TRIPLET",
    "CHILDREN",
    "KID",
    "SON",
    "DAUGHTER",
    "BROTHER",
    "SISTER",
    "MOTHER",
    "FATHER",
    "MOM",
    "DAD",
    "MAN",
    "WOMAN",
    "HUSBAND",
    "WIFE",
    "SPOUSE",
    "PARTNER",
    "LADY",
    "GENTLEMAN",
    "PERSON",
    "TEEN",
    "TEENAGER",
    "GRANDCHILD",
    "GRANDSON",
    "GRANDDAUGHTER",
    "NEPHEW",
    "NIECE",
    "COUSIN",
    "AUNT",
    "UNCLE",
    "GRANDMA",
    "GRANDPA",
    "GRANDMOTHER",
    "GRANDFATHER",
    "ROOMMATE",
    "TENANT",
    "BOARDER",
    "GUEST",
    "FRIEND",
    "NONE",
    "NA",
    "NAME",
    "NOT",
    "GIVEN",
    "PROVIDED",
    "AVAILABLE",
    "KNOWN",
    "STATED",
    "REPORTED",
    "APPLICABLE",
    "FNU",
    "NFN",
    "NMN",
    "LNU",
    "DECEASED",
    "STILLBORN",
    "X",
    "XX",
    "XXX",
    "XXXX",
    "XXXXX",
]

#: Those of the above that say that the child was not born yet.
UNBORN = ["UNBORN", "FETUS"]

#: Words that may stand beside the above without making a name of it.
FILLERS = ["A", "B", "C", "D", "1", "2", "3", "4", "OF", "THE", "NO", "IN", "MY", "S", "ONE", "TWO"]

#: Surnames that are never a person's own. DOE counts only beside a JOHN, JANE or placeholder given name.
SURNAMES = [
    "UNKNOWN",
    "UNK",
    "UNKN",
    "UNNAMED",
    "UNBORN",
    "INFANT",
    "BABY",
    "LNU",
    "NA",
    "NONE",
    "REFUSED",
    "ANONYMOUS",
    "WITHHELD",
    "FATHER",
    "MOTHER",
    "NAMEUNKNOWN",
    "NOTGIVEN",
    "X",
    "XX",
    "XXX",
    "TEST",
]

#: Given names that make DOE (and ROE) a placeholder.
DOE_COMPANIONS = ["JOHN", "JANE", "JON", "J", "BABY"]

#: Social security numbers printed on specimens and in advertisements.
SPECIMEN_SSNS = ("123456789", "987654321", "078051120", "219099999", "457555462", "111223333", "001010001")

#: Dates entered to get past a required field.
DATES = (
    "0001-01-01",
    "1111-11-11",
    "1800-01-01",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1901-01-01",
    "2099-12-31",
    "2222-02-02",
    "9999-12-31",
    "9999-01-01",
)

#: Address lines that name no dwelling.
ADDRESS_PATTERN = (
    r"^(HOMELESS|NO FIXED|NO PERMANENT|TRANSIENT|UNKNOWN|UNK|GENERAL DELIVERY|NONE|NA|N A|SAME|REFUSED|WITHHELD|"
    r"CONFIDENTIAL|UNHOUSED|UNSHELTERED|ADDRESS UNKNOWN|NOT GIVEN|XX+)\b"
)
