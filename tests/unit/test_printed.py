"""The printed numbers are those that were read from the paper: nothing changes them silently, nothing else is accepted."""

import hashlib
from dataclasses import fields
from pathlib import Path

import pytest

from arb_suite.jobs import UserError
from arb_suite.printed import Printed, only, read_printed, read_rows, where

ROOT = Path(__file__).parents[2]
PAPER, SCHEMA = ROOT / "workflow/paper", ROOT / "workflow/schemas/paper.schema.yaml"
# Whoever corrects a number corrects its line here, and says why in the commit.
SHA256 = {
    "claims.csv": "a4b139495962249d",
    "evaluation_sets.csv": "ca6fc9bdff4d81e4",
    "fig3.csv": "5b55cfcea5fec93c",
    "fig4.csv": "b427fa02f312a6d9",
    "fig5.csv": "75b377332bab9924",
    "fig6.csv": "3db8b48abaddc703",
    "fig7.csv": "5c9d7e30e48e1348",
    "imagenet100_cmc.txt": "79f3f1552ccc478c",
    "release_eval_log.csv": "6e22a49e09736af1",
    "release_readme.csv": "f554194c25d811d0",
    "sentences.csv": "a2634f1bf87c3e87",
    "settings.csv": "b81451a97f6ed27b",
    "solo_learn_published.csv": "431cdf3938d989ba",
    "table1_attributes.csv": "4cf26ce909cea64b",
    "tables.csv": "38435472deede408",
}


def test_every_file_is_as_it_was_read():
    files = sorted(path.name for path in PAPER.iterdir() if path.suffix in (".csv", ".txt"))
    assert files == sorted(SHA256)
    assert {name: hashlib.sha256((PAPER / name).read_bytes()).hexdigest()[:16] for name in files} == SHA256


@pytest.mark.parametrize("name", [field.name for field in fields(Printed)])
def test_every_file_is_read_and_has_rows(paper, name):
    rows = getattr(paper, name)
    assert len(rows) == len((PAPER / f"{name}.csv").read_text(encoding="utf-8").splitlines()) - 1 > 0
    assert all(isinstance(entry, str) for row in rows for entry in row.values())


def test_there_are_136_cells_as_strings(paper):
    assert len(paper.tables) == 136
    assert {row["as_printed"] for row in paper.tables} >= {"52.9", "78.2", "95.5", "95.51"}
    assert len({tuple(row[name] for name in row if name not in ("as_printed", "bold", "page")) for row in paper.tables}) == 136


def test_what_table_1_says_of_its_rows_is_said_of_each(paper):
    rows = [
        {(row["method"], row["proj_dim"]) for row in rows}
        for rows in (paper.table1_attributes, where(paper.tables, table="table1"))
    ]
    assert rows[0] == rows[1]
    assert len(paper.table1_attributes) == len(rows[0]) == 13


def test_every_claim_of_the_paper_page_has_a_row(paper):
    page = (PAPER / "paper.md").read_text(encoding="utf-8")
    listed = {f"P{k}" for k in range(1, 23) if f"- P{k} " in page}
    assert len(listed) == 22
    assert {row["id"] for row in paper.claims} == (listed - {"P3"}) | {"P3.linear", "P3.knn"}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("tables", "92.61", "192.61", r"tables\.csv, row 2, column as_printed: '192.61' does not match"),
        ("tables", "92.61", "92,61", r"tables\.csv, row 2 has 11 fields; the header has 10"),
        ("tables", "92.61", "about 92", "column as_printed: 'about 92' does not match"),
        ("tables", "92.61,0,", "92.61,yes,", "row 2, column bold: 'yes' is not one of"),
        ("tables", "CIFAR-10,1000,linear_top1", "CIFAR10,1000,linear_top1", "column dataset: 'CIFAR10' is not one of"),
        ("tables", "as_printed", "printed", "'printed' was unexpected|'as_printed' is a required"),
        ("fig4", "33.1879", "-33.1879", "row 2, column value"),
        ("table1_attributes", "O(N)", "linear", "row 2, column objective_complexity: 'linear' does not match"),
        ("claims", "P1,printed", "P1,guessed", "row 2, column source: 'guessed' is not one of"),
        ("sentences", ",12.27,", ",12.27%,", "row 2, column as_printed"),
        ("solo_learn_published", "ResNet18", "ResNet-18", "row 2, column backbone"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_with_its_place(tmp_path, file, old, new, said):
    for path in PAPER.glob("*.csv"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / f"{file}.csv").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / f"{file}.csv").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_printed(tmp_path, SCHEMA)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2,3\n", b"a,b\n1\n", b"a,b\n\xff,2\n", b'a,b\n"1,2\n'])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.csv"):
        read_rows(tmp_path / "x.csv")
    with pytest.raises(UserError, match=r"nowhere\.csv cannot be read"):
        read_rows(tmp_path / "nowhere.csv")


def test_a_missing_schema_says_where_to_stand(tmp_path):
    with pytest.raises(UserError, match="run from the root of a clone"):
        read_printed(PAPER, tmp_path / "none.yaml")


def test_rows_are_looked_up(paper):
    assert only(paper.tables, table="table4", variant="standard", metric="linear_top1")["as_printed"] == "79.48"
    assert len(where(paper.tables, table="table2")) == 24
    for columns in ({"table": "table2"}, {"table": "table9"}):
        with pytest.raises(LookupError, match="one was expected"):
            only(paper.tables, **columns)
    assert paper.images("ImageNet-100") == 5000
    assert paper.said("P1", "lead") == "12.27"
