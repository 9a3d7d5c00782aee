"""Files as people have them: what is read all the same, what is set aside, what is refused and with which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import linkage
from linkage.reading import LinkageError, read_tables
from linkage.store import connect
from pipelines.cli import app

KEY = ("source_system", "source_record_id")
PLAIN = "source_system,source_record_id,last_name\ncourt,1,LEE\nmedicaid,007,GARCÍA\n"
READ = [("court", "1", "LEE"), ("medicaid", "007", "GARCÍA")]


def read(path: Path, *more: Path) -> tuple[list[tuple[str, ...]], int]:
    con = connect()
    aside = read_tables(con, [path, *more], "given", KEY)
    return con.execute("select * from given order by source_record_id desc").fetchall(), aside


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("commas", PLAIN.encode()),
        ("a byte order mark", PLAIN.encode("utf-8-sig")),
        ("semicolons", PLAIN.replace(",", ";").encode()),
        ("tabs", PLAIN.replace(",", "\t").encode()),
        ("bars", PLAIN.replace(",", "|").encode()),
        ("Latin 1", PLAIN.encode("latin-1")),
        ("UTF-16, as a spreadsheet's Unicode text", PLAIN.replace(",", "\t").encode("utf-16")),
        ("Windows' ends of lines", PLAIN.replace("\n", "\r\n").encode()),
        ("empty lines", PLAIN.replace("\n", "\n\n").encode()),
        ("upper case headers with blanks", PLAIN.replace("last_name", " Last_Name ").upper().encode()),
        ("headers of words", PLAIN.replace("source_", "Source ").replace("last_name", "LAST-NAME").encode()),
        (
            "quotes",
            b'"source_system","source_record_id","last_name"\n"court","1","LEE"\n"medicaid","007","GARC\xc3\x8dA"',
        ),
    ],
)
def test_every_way_of_writing_one_file_is_read_alike(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    rows, aside = read(tmp_path / "people.csv")
    assert [tuple(v.upper() for v in row) for row in rows] == [tuple(v.upper() for v in row) for row in READ]
    assert aside == 0


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_put_together_from_two_encodings(packed: bool, tmp_path: Path) -> None:
    key = b"source_system,source_record_id,last_name\n"
    content = key + "court,2,GARCÍA\n".encode() + "court,1,PEÑA\n".encode("latin-1")
    path = tmp_path / ("people.csv.gz" if packed else "people.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert read(path) == ([("court", "2", "GARCÍA"), ("court", "1", "PEÑA")], 0)


def test_packed_files_and_parquet_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "people.csv.gz", "wt", encoding="utf-8") as packed:
        packed.write(PLAIN)
    assert read(tmp_path / "people.csv.gz")[0] == READ
    pq.write_table(pa.table(dict(zip([*KEY, "last_name"], zip(*READ, strict=True), strict=True))), tmp_path / "a.dat")
    assert read(tmp_path / "a.dat")[0] == READ


HEAD = "source_system,source_record_id,last_name,address_line\n"


@pytest.mark.parametrize(
    ("lines", "names", "unreadable"),
    [
        # Of five lines after the heading four are rows.
        (['court,5,"LEE,1 A ST', "court,4,DIAZ,2 A ST", "court,3,WU,3 A ST", "court,2,,", "court,1,OH,"], "4321", 1),
        (['court,3,"LEE,1 A ST', 'court,2,DIAZ",2 A ST', "court,1,WU,3 A ST"], "21", 1),
        (['court,3,LEE,"1 A ST', 'APT 5"', 'court,2,WU,"3 A ST', 'court,1,"OH",'], "31", 1),
        (['court,2,LEE,"1 "A" ST', "APT 5", "FLOOR 2", "court,1,WU,3 A ST"], "1", 3),
        (['court,2,LEE,"1 A ST, APT "B""', 'court,1,5" TALL "WU,3 A ST'], "21", 0),
        (["court,3,LEE,1 A ST,more", "court,2,WU,3 A ST,,", "court,1"], "21", 1),
    ],
    ids=[
        "a quotation mark that is never closed",
        "two of them, in one column of two lines: no value of two lines",
        "beside a value that has two lines",
        "what is left of a torn value is no row",
        "quotation marks within values",
        "a value too many, empty ones too many, too few",
    ],
)
def test_a_stray_quotation_mark_takes_no_other_line_with_it(
    lines: list[str], names: str, unreadable: int, tmp_path: Path
) -> None:
    (tmp_path / "people.csv").write_text(HEAD + "\n".join(lines) + "\n")
    rows, aside = read(tmp_path / "people.csv")
    assert ("".join(row[1] for row in rows), aside) == (names, unreadable)


def test_a_value_of_several_lines_is_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(f'{HEAD}court,1,LEE,"1 A ST\r\nAPT 5"\r\ncourt,0,WU,\r\n'.encode())
    rows, aside = read(tmp_path / "people.csv")
    assert [(r[1], r[3] and r[3].split()) for r in rows] == [("1", ["1", "A", "ST", "APT", "5"]), ("0", None)]
    assert aside == 0


def test_lost_lines_and_birth_dates_are_told_and_no_birth_date_is_a_deliverys(tmp_path: Path) -> None:
    # The first line cannot be read. Two years of two digits of three dates given by the court; Medicaid's are read.
    lines = ['court,5,"LEE,2001-02-03', "court,1,LEE,10/19/00", "court,2,WU,03/04/01", "court,3,OH,2002-03-04"]
    lines += ["court,4,DIAZ,", "medicaid,1,LEE,2000-10-19", "medicaid,2,WU,20010304"]
    (tmp_path / "people.csv").write_text("source system,source record id,Last Name,Birth-Date\n" + "\n".join(lines))
    result = CliRunner().invoke(
        app, ["link", "--records", str(tmp_path / "people.csv"), "--out", str(tmp_path / "out")]
    )
    assert "6 records of 6 rows" in result.output and "1 lines that could not be read, left out" in result.output
    assert "warning: birth_date of court: 2 of 3 values could not be understood" in result.output
    assert "birth_date of medicaid" not in result.output and "10/19" not in result.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "More than half of the birth dates of court" in page and "no delivery has a date" in page
    assert "<dt>records</dt><dd>fewer than 11<" in page and "<dt>people</dt><dd>fewer than 11<" in page
    work = tmp_path / "out" / "work"
    born = {str(r) for r in pq.read_table(work / "records.parquet")["birth_date"].to_pylist() if r}
    assert len(born) == 3
    name = linkage.train(work, tmp_path / "models").name
    told = [page, name, *(p.read_text() for p in [*tmp_path.rglob("card.*"), work / "record_summary.json"])]
    assert not [date for date in born for text in told if date in text]
    assert name.startswith("undated-")


def test_whole_numbers_written_as_fractions_are_their_digits(tmp_path: Path) -> None:
    # What pandas makes of a column of numbers with gaps: 8-byte fractions in Parquet, ".0" in CSV.
    numbers = {"source_record_id": [7.0, 8.0], "ssn": [123456780.0, None], "dose": [1.5, 2.0]}
    pq.write_table(pa.table({"source_system": ["a", "a"], **numbers}), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text(
        "source_system,source_record_id,ssn,dose\nb,1.0,321545678.0,1.5\nb,2.0,,2.0\nb,3.0,321545679.0,2.0\n"
    )
    (tmp_path / "c.csv").write_text("source_system,source_record_id,ssn,dose\nc,1.0,321-54-5678,1.0\nc,1.1,,1.0\n")
    rows, aside = read(tmp_path / "a.parquet", tmp_path / "b.csv", tmp_path / "c.csv")
    assert aside == 0
    assert rows == [
        ("a", "8", None, "2"),
        ("a", "7", "123456780", "1.5"),
        ("b", "3", "321545679", "2.0"),
        ("b", "2", None, "2.0"),
        # An ID of versions, 1.0 and 1.1, stays.
        ("c", "1.1", None, "1"),
        ("c", "1.0", "321-54-5678", "1"),
        ("b", "1", "321545678", "1.5"),
    ]


def test_a_short_line_ends_in_empty_values_and_other_columns_come_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("source_system,source_record_id,last_name\ncourt,9\n")
    (tmp_path / "b.csv").write_text("last_name,source_record_id,source_system\nDIAZ,3,court\n")
    assert read(tmp_path / "a.csv", tmp_path / "b.csv") == ([("court", "9", None), ("court", "3", "DIAZ")], 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "people.csv is empty"),
        (b"  \n", "people.csv is empty"),
        (b"PK\x03\x04 a workbook", "neither CSV nor Parquet"),
        (b"PAR1 and no more", "damaged Parquet"),
        (b"hello\n", "lacks the columns source_record_id, source_system"),
        (b"source_system,first_name\ncourt,ANA\n", "lacks the columns source_record_id"),
        (b"source_system,source_record_id,First_name,first_name\n", "names a column twice: columns 3, 4"),
    ],
)
def test_what_cannot_be_read_for_sure_is_refused_in_words(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(LinkageError, match=words):
        read(tmp_path / "people.csv")
    result = CliRunner().invoke(
        app, ["link", "--records", str(tmp_path / "people.csv"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 1 and words in result.output and "unexpected" not in result.output


def test_a_file_without_a_heading_is_refused_without_a_value(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("court,7,MARISOL,MARISOL\n")
    result = CliRunner().invoke(
        app, ["link", "--records", str(tmp_path / "people.csv"), "--out", str(tmp_path / "out")]
    )
    assert result.exit_code == 1 and "columns 3, 4" in result.output and "marisol" not in result.output.lower()


def test_a_relationship_file_says_which_column_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PLAIN)
    (tmp_path / "kin.csv").write_text("source_system,parent,child\ncourt,1,2\n")
    files = ["--records", str(tmp_path / "people.csv"), "--relationships", str(tmp_path / "kin.csv")]
    result = CliRunner().invoke(app, ["link", *files, "--out", str(tmp_path / "out")])
    assert "kin.csv lacks the columns related_record_id, relationship, source_record_id" in result.output


def test_unknown_words_and_systems_are_told(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PLAIN)
    (tmp_path / "kin.csv").write_text(
        "source_system,source_record_id,related_record_id,relationship\ncourt,1,2,mum\ncourt,1,2,MOTHER_OF \n"
    )
    files = ["--records", str(tmp_path / "people.csv"), "--relationships", str(tmp_path / "kin.csv")]
    more = ["--duplicate-free", "court,Court", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["link", *files, *more])
    assert result.exit_code == 0, result.output
    assert "1 relationships of an unknown kind, left out" in result.output
    assert "--duplicate-free Court: no record is of this system" in result.output
