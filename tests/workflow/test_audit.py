"""The audit of the printed numbers as a target of the workflow."""

from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "results/reference"
TABLES = ("cells", "sizes", "rankings", "places", "published", "redecided", "settings")


@pytest.fixture
def audited(clean_copy, tmp_path):
    workflow = clean_copy(tmp_path)
    workflow.target = "results/claims.csv"
    return workflow


def test_the_audit_needs_no_training_and_gives_the_reference(audited, patience):
    status, printed = audited.run(config=())
    assert status == 0, printed
    assert (audited.results / "claims.csv").read_bytes() == (REFERENCE / "claims.csv").read_bytes()
    assert all((audited.results / f"audit_{name}.csv").stat().st_size > 500 for name in TABLES)
    assert not (audited.results / "runs").exists()
    assert "426 printed accuracies" in printed
    before = audited.state()
    status, printed = audited.run(config=())
    assert (status, audited.state() == before) == (0, True)
    assert "Nothing to be done" in printed

    # A number that is none stops it with one sentence; what was there before is not replaced by a part.
    _, sentence_of = patience
    paper = audited.folder / "workflow/paper/tables.csv"
    paper.write_text(paper.read_text(encoding="utf-8").replace("92.61", "unknown"), encoding="utf-8")
    status, printed = audited.run(config=())
    assert status != 0
    assert "tables.csv, row 2, column as_printed: 'unknown' does not match" in sentence_of(printed)
    assert not list(audited.results.glob("*.csv"))
