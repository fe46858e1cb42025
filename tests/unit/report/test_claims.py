"""What the report says of claims: counted, sorted into chapters, folded, and put together as findings."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from arb_suite.audit.tables import redecided_table, sizes_table
from arb_suite.jobs import UserError
from arb_suite.report.claims import SOURCES, VERDICTS, as_shown, chapters, deciding, no_sentences, redecided, tally
from arb_suite.report.findings import findings
from arb_suite.report.job import _rows
from arb_suite.report.notation import typeset
from arb_suite.report.parts import Results

ROOT = Path(__file__).parents[3]
OUTLINE = yaml.safe_load((ROOT / "workflow/report/report.yaml").read_text(encoding="utf-8"))


def test_claims_are_counted_by_source_and_verdict(claims):
    counted = tally(claims, OUTLINE["readings"])
    assert [row["source"] for row in counted] == list(SOURCES)
    assert sum(row["total"] for row in counted) == len(claims)
    for row in counted:
        assert sum(row["counts"].values()) == row["total"]
        for verdict in VERDICTS:
            assert row["counts"][verdict] == len(claims.query("source == @row['source'] and verdict == @verdict"))


def test_readings_of_one_statement_are_told_from_statements(source, claims):
    printed = tally(claims, OUTLINE["readings"])[0]
    refuted = set(claims.query("source == 'printed' and verdict == 'refuted'")["id"])
    of_theorem_2 = {"T2.one.diag", "T2.sum.diag", "T2.one.fro", "T2.sum.fro"}
    assert of_theorem_2 <= refuted
    assert printed["statements"]["refuted"] == len(refuted - of_theorem_2) + 1
    assert printed["total_statements"] < printed["total"]
    assert f'>{len(refuted)}<br><span class="unit">readings of {printed["statements"]["refuted"]} statements</span>' in source
    alone = tally(claims, [])[0]
    assert alone["statements"] == alone["counts"]


def test_readings_in_several_rows_and_checks_that_are_no_sentences_are_counted(page, claims):
    printed, *others = tally(claims, OUTLINE["readings"], OUTLINE["labels"])
    verdicts = dict(zip(claims["id"], claims["verdict"], strict=True))
    assert printed["no_sentences"] == {claim: verdicts[claim] for claim in ("P13", "P14", "P18", "P19", "P22")}
    counts = Counter(printed["no_sentences"].values())
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    assert f"(P13, P14, P18, P19, P22: {summary})." in no_sentences([printed])
    assert no_sentences([printed]) in page.text
    assert no_sentences([printed]).startswith(f"Of the {printed['total']} that are printed, 5 are checks of printed numbers")
    assert no_sentences([printed | {"no_sentences": {}}]) == ""
    extra = sum(printed["statements"].values()) - printed["total_statements"]
    assert 0 < printed["several"] <= extra
    assert f"{printed['several']} have readings with different verdicts and stand in several rows" in page.text
    assert f"more than {printed['total_statements']}" in page.text
    assert [row["several"] for row in others] == [0, 0]


def test_what_the_heading_or_the_claim_says_is_not_said_again(claims):
    shown = as_shown(claims, OUTLINE["labels"]).set_index("id")["condition"]
    assert shown["T1.argmin"] == ""
    assert shown["P20"].startswith("distances are squared")
    assert shown["T3.fullrank.row"].startswith("for single rows")
    assert shown["X2"].startswith("as N equidistant")
    assert shown["X3"] == ""
    kept = claims.set_index("id")["condition"].drop(["T1.argmin", "X3", "P20", "T3.fullrank.row", "X2"])
    pd.testing.assert_series_equal(shown[kept.index], kept)


def test_claims_decided_otherwise_with_published_numbers_are_named(paper):
    table = redecided_table(paper)
    found = redecided(table)
    assert (found["claims"], found["sets"]) == (table["claim"].nunique(), 3)
    other = table[table["verdict_as_printed"] != table["verdict_with_published"]]
    assert [row["id"] for row in found["changed"]] == list(other["claim"].unique()) == ["P2", "P15"]
    for row in found["changed"]:
        assert list(row["then"].values()) == [["online", "offline", "higher"]]
    assert redecided(table.assign(verdict_with_published=table["verdict_as_printed"]))["changed"] == []


def test_a_size_whose_multiple_is_the_one_stated_proves_nothing_alone(paper, tmp_path):
    sizes_table(paper).to_csv(tmp_path / "audit_sizes.csv", index=False)
    rows = {(row["series"], row["reading"]): row for row in _rows(Results(tmp_path), "audit_sizes.csv")}
    log = rows["log of the release", "rounded"]
    assert (log["n"], log["accuracies"]) == ("25000", log["attainable_over_nominal_n"])
    assert "50000 images give the numbers too, a multiple of it" in log["fit"]
    assert rows["Fig. 4", "cut off"]["fit"].endswith("not the nominal size")  # none of these is possible with it


def test_a_finding_is_not_said_where_numbers_are_not_as_its_words(claims, orderings, ranks):
    more = orderings.assign(measured_difference="99.00")
    said = findings(claims.assign(evidence=""), more, ranks, OUTLINE["findings"])
    for finding in (said[0], said[-1]):
        assert all(f"{link['id']}: {link['verdict']}" in finding["text"] for link in finding["links"])


def test_where_a_label_is_not_the_papers_own_words_its_row_says_so(parsed, source, claims):
    shown = as_shown(claims, OUTLINE["labels"]).set_index("id")
    assert set(shown.index[shown["label"] != ""]) == {"P13", "P14", "P16", "P18", "P19", "P22"}
    (p16,) = re.findall(r'<article class="claim \w+" id="P16".*?</article>', source, re.DOTALL)
    assert "Table 3 itself shows otherwise" in parsed(p16).text
    assert parsed(f"<p>{typeset(shown.loc['P16', 'correction'])}</p>").text in parsed(p16).text
    for identity in ("P13", "P14", "P18", "P19", "P22"):
        (article,) = re.findall(rf'<article class="claim \w+" id="{identity}".*?</article>', source, re.DOTALL)
        assert "counted as printed. No sentence of the paper" in parsed(article).text


@pytest.mark.parametrize(
    ("identity", "decides"),
    [
        ("P12", "above 0 in 12 of 12 pairs; 10 of 12 leads exceed"),
        ("P17", "26 of 42 leads exceed it at 5%"),
        ("P18", "of 66 baseline cells 25 equal"),
    ],
)
def test_of_long_evidence_what_decides_stands_first(parsed, source, claims, identity, decides):
    shown = as_shown(claims, OUTLINE["labels"])
    (evidence,) = shown.loc[shown["id"] == identity, "evidence"]
    short = deciding(evidence)
    assert len(evidence) > 800
    assert len(short) < 300
    assert decides in short
    (article,) = re.findall(rf'<article class="claim \w+" id="{identity}".*?</article>', source, re.DOTALL)
    before, _, folded = article.partition("<details>")
    assert decides in parsed(f"{before}</dd></dl></article>").text
    assert typeset(evidence) in folded


def test_short_evidence_is_not_folded(claims):
    shown = as_shown(claims, OUTLINE["labels"])
    assert not shown.loc[shown["evidence"].str.len() <= 600, "short"].any()
    assert (shown["short"].str.len() < shown["evidence"].str.len()).all()


def test_every_claim_has_one_chapter(claims):
    shown = [claim["id"] for chapter in chapters(claims, OUTLINE["chapters"]) for claim in chapter["claims"]]
    assert sorted(shown) == sorted(claims["id"])
    with pytest.raises(UserError, match=r"claim T1\.argmin has 0 chapters"):
        chapters(claims, OUTLINE["chapters"][1:])
    with pytest.raises(UserError, match=r"claim T1\.argmin has 2 chapters"):
        chapters(claims, OUTLINE["chapters"] + OUTLINE["chapters"][:1])


def test_a_finding_is_said_for_the_verdicts_that_it_is_written_for_alone(claims, orderings, ranks):
    said = findings(claims, orderings, ranks, OUTLINE["findings"])
    assert [finding["title"] for finding in said] == [entry["title"] for entry in OUTLINE["findings"]]
    assert len(said) == 5
    assert "the base gains 19.70 [16.20, 23.20] and 31.30 [27.82, 34.78]" in said[0]["text"]
    assert "effective rank of 1.1 of 256, those aligned with bases at 98.0 of 256" in said[0]["text"]
    for finding in said:  # none had to be named with its verdict
        assert not any(f"{link['id']}: " in finding["text"] for link in finding["links"])
    others = {"holds": "refuted", "refuted": "holds", "conditional": "inconclusive"}
    turned = claims.assign(verdict=claims["verdict"].replace(others))
    for before, after in zip(said[1:], findings(turned, orderings, ranks, OUTLINE["findings"])[1:], strict=True):
        for link in before["links"]:
            assert f"{link['id']}: {others[link['verdict']]}" in after["text"]


def test_a_finding_is_one_sentence(claims, orderings, ranks):
    for finding in findings(claims, orderings, ranks, OUTLINE["findings"]):
        assert finding["text"].endswith(".")
        assert not re.search(r"[.!?]\s+[A-Z]", finding["text"]), finding["text"]
        assert "_" not in finding["text"]


def test_one_claim_that_differs_takes_a_finding_back(claims, orderings, ranks):
    changed = "T2.sum.fro"
    other = "inconclusive"
    one = claims.assign(verdict=claims["verdict"].mask(claims["id"] == changed, other))
    (finding,) = (
        each for each in findings(one, orderings, ranks, OUTLINE["findings"]) if each["title"].startswith("Theorems 2")
    )
    assert "upper bound" not in finding["text"]
    assert f"{changed}: {other}" in finding["text"]


def test_in_short_is_said_for_the_verdicts_that_it_is_written_for(page, claims, orderings, ranks):
    (short,) = findings(claims, orderings, ranks, [OUTLINE["short"]])
    assert short["as_written"]
    assert short["text"] in page.text
    assert short["text"] in (ROOT / "README.md").read_text(encoding="utf-8")
    for changed in ("T1.unique", "T4.max"):
        one = claims.assign(verdict=claims["verdict"].mask(claims["id"] == changed, "inconclusive"))
        (other,) = findings(one, orderings, ranks, [OUTLINE["short"]])
        assert not other["as_written"]
    assert findings(None, orderings, ranks, [OUTLINE["short"]]) == []


def test_findings_about_what_was_not_decided_are_left_out(claims, orderings, ranks):
    assert findings(None, None, ranks, OUTLINE["findings"]) == []
    without = findings(None, orderings, ranks, OUTLINE["findings"])
    assert [finding["title"] for finding in without] == ["Collapse, measured"]
    assert findings(None, orderings, {}, OUTLINE["findings"]) == []
    undecided = orderings.assign(verdict="not run")
    left = [finding["title"] for finding in findings(claims, undecided, ranks, OUTLINE["findings"])]
    assert left == [entry["title"] for entry in OUTLINE["findings"]][1:]


def test_what_stands_for_a_picture_has_no_marks_of_formulas(page):
    for image in page.images:
        assert not re.search(r"[A-Za-z][_^]|\|\||<=", image["alt"]), image["alt"]
