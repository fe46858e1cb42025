"""The report as text: what is on it, that it says what is missing, and that it stands alone."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from shutil import copy

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from arb_suite.audit.tables import redecided_table, sizes_table
from arb_suite.jobs import UserError
from arb_suite.report.claims import (
    SOURCES,
    VERDICTS,
    as_shown,
    chapters,
    counterexamples,
    deciding,
    no_sentences,
    redecided,
    tally,
)
from arb_suite.report.findings import findings
from arb_suite.report.job import _rows, render
from arb_suite.report.notation import typeset
from arb_suite.report.parts import Results
from arb_suite.report.runs import overview, read_runs
from arb_suite.report.tables import blocks, effective_ranks, run_of
from arb_suite.report.trained import measured_on
from arb_suite.workflow import Plan

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "results/reference"
OUTLINE = yaml.safe_load((ROOT / "workflow/report/report.yaml").read_text(encoding="utf-8"))
VOID = {"meta", "br", "img", "link", "hr", "source", "wbr"}


class Page(HTMLParser):
    """Checks that tags are balanced and keeps what is looked at."""

    def __init__(self, source):
        super().__init__()
        self.open, self.words, self.ids, self.links, self.sources, self.images, self.headings = [], [], [], [], [], [], []
        self.feed(source)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given["href"])
        if tag in ("img", "script", "link", "iframe", "source"):
            self.sources.append(given.get("src", given.get("href", given.get("srcset", ""))))
        if tag == "img":
            self.images.append(given)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


@pytest.fixture(scope="module")
def claims():
    return pd.read_csv(REFERENCE / "claims.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def orderings():
    return pd.read_csv(REFERENCE / "orderings.csv", dtype=str, keep_default_na=False)


@pytest.fixture
def plan_of_report(whole_plan):
    return json.loads(whole_plan.report())


def rendered(folder, plan):
    return Page(render(Results(folder), plan, "v1"))


@pytest.fixture(scope="module")
def source():
    """The report of the reference results, which have no runs and no tables of the audit."""
    config = {}
    for name in ("default", "digits", "digits_tables", "digits_tuning", "glyphs", "paper"):
        update_config(config, yaml.safe_load((ROOT / f"workflow/config/{name}.yaml").read_text(encoding="utf-8")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return render(Results(REFERENCE), json.loads(Plan(config).report()), "v1")


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


@pytest.fixture(scope="module")
def ranks():
    return effective_ranks(
        pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False) for name in ("table_main", "table_tuned")
    )


# --- the page ---------------------------------------------------------------------------------------------------------


def test_every_claim_is_there_with_its_verdict(source, claims):
    for claim in claims.to_dict("records"):
        (article,) = re.findall(
            rf'<article class="claim {claim["verdict"]}" id="{re.escape(claim["id"])}".*?</article>', source, re.S
        )
        text = Page(article).text
        for value in (claim["id"], claim["verdict"], Page(f"<p>{typeset(claim['where'])}</p>").text, claim["check"]):
            assert value in text


def test_every_refuted_claim_of_the_theory_shows_matrices(plan_of_report, claims):
    source = render(Results(REFERENCE), plan_of_report, "v1")
    known = counterexamples(ROOT / "proofs_checks/search/counterexamples.yaml", OUTLINE["sides"])
    shown = set()
    for claim in claims.query("verdict == 'refuted' and not id.str.startswith('P')")["id"]:
        (article,) = re.findall(rf'<article class="claim refuted" id="{re.escape(claim)}".*?</article>', source, re.S)
        tables = [
            [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", table)]
            for table in re.findall('<div class="matrix">.*?<tbody>(.*?)</tbody>', article, re.S)
        ]
        expected = [[[str(entry) for entry in row] for row in rows] for _, rows in known[claim]["matrices"]]
        assert expected
        assert [[[entry.replace("\N{MINUS SIGN}", "-") for entry in row] for row in rows] for rows in tables] == expected
        assert all(str(typeset(line)) in article for line in known[claim]["says"])
        shown.add(claim)
    assert shown == set(known)


def test_it_stands_alone_and_every_place_that_it_links_to_is_there(page):
    assert all(source == "" or source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert len(inside) > 60
    assert len(page.ids) == len(set(page.ids))
    assert not [link for link in page.links if ":" in link or link.startswith("/")]


def test_pictures_say_what_they_show_and_headings_skip_no_level(page):
    assert len(page.images) >= 11
    assert all(len(image["alt"]) > 40 for image in page.images)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_the_same_results_give_the_same_bytes(source, plan_of_report):
    assert render(Results(REFERENCE), plan_of_report, "v1") == source


def test_without_results_it_says_what_to_type(plan_of_report, tmp_path):
    page = rendered(tmp_path, plan_of_report)
    for command in (
        "snakemake --cores all results/claims.csv",
        "snakemake --cores all results/table_main.csv",
        f"snakemake --cores all {tmp_path / 'table4.csv'}",
        f"snakemake --cores all {tmp_path / 'fig6.svg'}",
        f"snakemake --cores all {tmp_path / 'orderings.csv'}",
    ):
        assert command in page.text
    assert "Nothing was trained yet" in page.text
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_what_lies_there_is_shown_beside_what_is_missing(plan_of_report, tmp_path):
    copy(REFERENCE / "table3.csv", tmp_path)
    page = rendered(tmp_path, plan_of_report)
    assert "Table 3 was not made" not in page.text
    assert "Table 4 was not made" in page.text
    assert "71.1" in page.text


def test_without_folders_of_runs_measured_numbers_are_not_said_to_be_untrained(page, plan_of_report, tmp_path):
    caveat = "Nothing was trained on the paper's own data sets here"
    assert "Nothing was trained yet" not in page.text
    assert page.text.count("The run folders are not beside this page") == 2
    on = r"bundled digits \(handwritten digits, 24 . 24 pixels\) and bundled glyphs"
    assert re.search(f"{caveat}: all measurements are on {on}", page.text)
    assert "over 3 seeds each" in page.text
    for name in ("table3.csv", "fig7.csv", "orderings.csv"):  # any of them alone
        (tmp_path / name[:-4]).mkdir()
        copy(REFERENCE / name, tmp_path / name[:-4])
        text = rendered(tmp_path / name[:-4], plan_of_report).text
        assert caveat in text
        assert ("bundled glyphs" in text) == (name == "orderings.csv")  # which alone of them has glyphs
        assert "Nothing was trained yet" not in text
    printed = pd.read_csv(REFERENCE / "table3.csv", dtype=str, keep_default_na=False).query("paper != ''")
    printed.to_csv(tmp_path / "table3.csv", index=False)
    text = rendered(tmp_path, plan_of_report).text
    assert "Nothing was trained yet" in text
    assert caveat not in text


def test_what_the_bundled_data_are_is_said_as_configured(page, whole_config):
    sources = whole_config["digits"]["data"]["sources"]
    assert f"bundled digits are {sum(sources.values())} real handwritten digits" in page.text
    assert f"{sources['train'] + sources['validation']} of the digits to train on, {sources['test']} to test on" in page.text
    assert "The bundled glyphs are generated, 100 characters" in page.text
    assert "was trained 20 epochs on digits in batches of 128 and 20 epochs on glyphs in batches of 128" in page.text


def test_images_of_the_paper_are_told_from_bundled_and_generated_ones():
    row = {"dataset": "digits", "measured": "80.0", "n_seeds": "3", "note": ""}
    generated = row | {"dataset": "CIFAR-10", "n_seeds": "1", "note": "40 GENERATED images in the format of CIFAR-10"}
    assert measured_on([None, pd.DataFrame([row, generated])]) == {
        "datasets": ["digits", "CIFAR-10"], "generated": ["CIFAR-10"], "on_paper": False, "seeds": "1 to 3",
    }  # fmt: skip
    assert measured_on([pd.DataFrame([row, row | {"dataset": "CIFAR-10"}])])["on_paper"]
    assert measured_on([None, pd.DataFrame([row | {"measured": ""}])]) is None


@pytest.fixture
def one_run(plan_of_report, tmp_path, monkeypatch):
    """A folder with the orderings and the record of one run with one seed, and its report."""
    for name in ("workflow", "proofs_checks"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    (run,) = (run for run in plan_of_report["runs"] if (run["dataset"], run["name"]) == ("digits", "arb_d4"))
    of_seed = {
        "computed_on": ["cpu, float32"], "commit": "abc", "packages": {"torch": "2.15.0"}, "platform": "Linux",
        "wall_seconds": 40.0, "data_hash": "d" * 64, "began": "2026-11-01T10:00:00+00:00", "ended": "2026-11-01T10:01:00+00:00",
    }  # fmt: skip
    path = Path(run["trainings"][0])
    path.parent.mkdir(parents=True)
    record = {"config_hash": "c" * 64, "settings": {"epochs": 20}, "seeds": {"0": of_seed}}
    path.write_text(json.dumps(record), encoding="utf-8")
    copy(REFERENCE / "orderings.csv", "results")
    return render(Results(Path("results")), plan_of_report, "v1")


def test_an_ordering_links_to_the_runs_that_are_there(one_run):
    (row,) = re.findall(r'<tr id="Figure4\.d4">.*?</tr>', one_run, re.DOTALL)
    assert [link for link in Page(row).links if link.startswith("#run")] == ["#run-digits-arb_d4"]
    assert "#run-digits-arb_d4" in {f"#{identity}" for identity in Page(one_run).ids}


def test_what_was_not_looked_at_is_not_claimed_and_one_is_no_plural(one_run, page):
    text = Page(one_run).text
    assert "every claim of its theory" not in text
    assert "what was not says so" in text
    assert "1 training, 1 seed in all" in text
    assert "every claim of its theory" not in page.text  # the audit's tables are not among the reference


def test_a_damaged_table_is_told_by_name(plan_of_report, tmp_path):
    (tmp_path / "claims.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"claims\.csv cannot be read"):
        render(Results(tmp_path), plan_of_report, "v1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda claims: claims.head(20), r"claims\.csv lacks T4\.max, T5\.grad, T5\.orth\.fullrank and 36 more"),
        (lambda claims: claims.assign(verdict="true"), "has the verdict 'true'"),
        (lambda claims: claims.drop(columns="verdict"), r"claims\.csv has no column verdict"),
    ],
)
def test_claims_that_are_not_whole_are_refused(plan_of_report, tmp_path, claims, change, said):
    change(claims).to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(UserError, match=f"{said}.*; delete it"):
        render(Results(tmp_path), plan_of_report, "v1")


def test_generated_images_are_told_apart(plan_of_report, tmp_path):
    table = pd.read_csv(REFERENCE / "table_main.csv", dtype=str, keep_default_na=False)
    of_cifar = table["dataset"] == "CIFAR-10"
    table.loc[of_cifar, "note"] = "run arb_d256: mean over seeds, 40 GENERATED images in the format of CIFAR-10"
    table.to_csv(tmp_path / "table_main.csv", index=False)
    text = rendered(tmp_path, plan_of_report).text
    assert "GENERATED images in the format of CIFAR-10:" in text
    assert "GENERATED images in the format of CIFAR-100" not in text


def test_what_is_in_a_table_is_no_html(plan_of_report, tmp_path, claims):
    hostile = claims.assign(evidence='<script>alert("1")</script> & <b>')
    hostile.to_csv(tmp_path / "claims.csv", index=False)
    page = render(Results(tmp_path), plan_of_report, "v1")
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert" in page


# --- claims -----------------------------------------------------------------------------------------------------------


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
    assert printed["no_sentences"] == {claim: verdicts[claim] for claim in ("P13", "P14", "P19", "P22")}
    counts = Counter(printed["no_sentences"].values())
    summary = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    assert f"(P13, P14, P19, P22: {summary})." in no_sentences([printed])
    assert no_sentences([printed]) in page.text
    assert no_sentences([printed]).startswith(f"Of the {printed['total']} that are printed, 4 are checks of printed numbers")
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


def test_a_size_whose_multiple_is_the_one_stated_proves_nothing_alone(paper, plan_of_report, tmp_path):
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


def test_where_a_label_is_not_the_papers_own_words_its_row_says_so(source, claims):
    shown = as_shown(claims, OUTLINE["labels"]).set_index("id")
    assert set(shown.index[shown["label"] != ""]) == {"P13", "P14", "P16", "P19", "P22"}
    (p16,) = re.findall(r'<article class="claim \w+" id="P16".*?</article>', source, re.DOTALL)
    assert "Table 3 itself shows otherwise" in Page(p16).text
    assert Page(f"<p>{typeset(shown.loc['P16', 'correction'])}</p>").text in Page(p16).text
    for identity in ("P13", "P14", "P19", "P22"):
        (article,) = re.findall(rf'<article class="claim \w+" id="{identity}".*?</article>', source, re.DOTALL)
        assert "counted as printed. No sentence of the paper" in Page(article).text


@pytest.mark.parametrize(
    ("identity", "decides"),
    [
        ("P12", "above 0 in 12 of 12 pairs; 10 of 12 leads exceed"),
        ("P17", "26 of 42 leads exceed it at 5%"),
        ("P18", "of 66 baseline cells 25 equal"),
    ],
)
def test_of_long_evidence_what_decides_stands_first(source, claims, identity, decides):
    shown = as_shown(claims, OUTLINE["labels"])
    (evidence,) = shown.loc[shown["id"] == identity, "evidence"]
    short = deciding(evidence)
    assert len(evidence) > 800
    assert len(short) < 300
    assert decides in short
    (article,) = re.findall(rf'<article class="claim \w+" id="{identity}".*?</article>', source, re.DOTALL)
    before, _, folded = article.partition("<details>")
    assert decides in Page(f"{before}</dd></dl></article>").text
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


# --- tables and runs --------------------------------------------------------------------------------------------------


def test_a_table_has_every_number_once(plan_of_report):
    for name in ("table_main", "table2", "table3", "table4", "table5", "table_tuned", "table_glyphs"):
        table = pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False)
        found = blocks(table)
        cells = [cell for block in found for row in block["rows"] for cell in row["cells"] if cell]
        for column in ("paper", "measured"):
            assert sorted(cell[column] for cell in cells) == sorted(table[column])
        assert all(len(row["cells"]) == len(block["metrics"]) for block in found for row in block["rows"])
        assert all(len(row["names"]) == len(block["columns"]) for block in found for row in block["rows"])


def test_where_the_method_tells_the_variant_it_is_not_repeated(plan_of_report, tmp_path):
    columns = (
        "place",
        "method",
        "variant",
        "proj_dim",
        "dataset",
        "metric",
        "as_printed",
        "n_eval",
        "nearest_below",
        "nearest_above",
    )
    shared = dict.fromkeys([*columns, "source", "source_difference"], "1") | {"attainable": "no"}
    cells = [
        shared | {"place": "Table 1", "variant": "symmetric"},
        shared | {"place": "Table 4", "variant": "no BN in projector"},
    ]
    pd.DataFrame(cells).to_csv(tmp_path / "audit_cells.csv", index=False)
    for name in ("published", "sizes", "settings"):
        columns = (
            "rows dataset metric best_printed printed best_with_published with_published same_method lead_then series reading"
        )
        columns += (
            " accuracies nominal_n attainable_over_nominal_n n explained expected fit id setting data paper release suite"
        )
        pd.DataFrame([dict.fromkeys(columns.split(), "1")]).to_csv(tmp_path / f"audit_{name}.csv", index=False)
    source = render(Results(tmp_path), plan_of_report, "v1")
    (rows,) = re.findall(r"<caption>cells that no count of hits gives</caption>(.*?)</table>", source, re.DOTALL)
    assert "no BN in projector" in rows
    assert "symmetric" not in rows


def test_printed_numbers_that_cannot_be_are_marked():
    table = pd.read_csv(REFERENCE / "table_main.csv", dtype=str, keep_default_na=False)
    cell = {"method": "BYOL", "proj_dim": "4096", "dataset": "ImageNet-100", "metric": "linear_top1", "as_printed": "80.09"}
    cells = pd.DataFrame([cell | {"attainable": "no"}, cell | {"dataset": "CIFAR-10", "attainable": "yes"}])
    found = blocks(table, cells)
    marked = [cell for block in found for row in block["rows"] for cell in row["cells"] if cell and cell["impossible"]]
    assert [(cell["method"], cell["dataset"], cell["paper"]) for cell in marked] == [("BYOL", "ImageNet-100", "80.09")]
    assert [block["dataset"] for block in found if block["impossible"]] == ["ImageNet-100"]
    assert not any(block["impossible"] for block in blocks(table))


@pytest.fixture
def with_audits(plan_of_report, tmp_path):
    """A function that gives the report of some cells of the audit, whose other tables have a row of ones."""

    def make(cells):
        columns = "place method variant proj_dim dataset metric as_printed n_eval nearest_below nearest_above attainable source"
        ones = dict.fromkeys([*columns.split(), "source_difference"], "1")
        pd.DataFrame([ones | cell for cell in cells]).to_csv(tmp_path / "audit_cells.csv", index=False)
        for name, columns in {
            "published": "rows dataset metric best_printed printed best_with_published with_published same_method lead_then",
            "sizes": "series dataset reading accuracies nominal_n attainable_over_nominal_n n explained expected fit",
            "settings": "id setting data paper release suite",
        }.items():
            rows = [dict.fromkeys(columns.split(), "1") | ({"expected": "2.7e-06"} if name == "sizes" else {})]
            pd.DataFrame(rows).to_csv(tmp_path / f"audit_{name}.csv", index=False)
        return render(Results(tmp_path), plan_of_report, "v1")

    return make


def test_what_a_baseline_is_set_against_is_said_where_it_is_of_another_name_or_dimension(with_audits):
    names = [("MoCo V2", "256"), ("Barlow Twins", "256"), ("Barlow Twins", "2048"), ("SimSiam", "2048")]
    cells = [{"method": method, "proj_dim": proj_dim, "source": "equals it"} for method, proj_dim in names]
    (table,) = re.findall(r"<caption>baseline cells(.*?)</table>", with_audits(cells), re.DOTALL)
    rows = [Page(row).text for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)[1:]]
    assert "the library's row is MoCo V2+" in rows[0]
    assert ["names no dimension" in row for row in rows] == [False, True, True, False]
    assert not any("row is" in row for row in rows[1:])


def test_lists_of_the_audit_have_row_headings_and_no_empty_columns(with_audits):
    source = with_audits(
        [
            {
                "method": "BYOL",
                "dataset": "CIFAR-10",
                "variant": "",
                "attainable": "no",
                "place": "Table 1",
                "nearest_below": "80.1",
            }
        ]
    )
    (table,) = re.findall(r"<caption>cells that no count(.*?)</table>", source, re.DOTALL)
    assert "variant" not in table
    assert "80.10" in table
    assert Page(re.search(r'<th scope="row".*?</th>', table)[0]).text.replace(" ", "") == "BYOL,CIFAR-10"
    (sizes,) = re.findall(r"<caption>sizes of(.*?)</table>", source, re.DOTALL)
    assert "10<sup>\N{MINUS SIGN}6</sup>" in sizes
    assert 'data-key="2.7e-06"' in sizes


def test_names_of_files_and_options_are_not_shown_as_they_are(page):
    assert not re.search(r"\blinear_top[15]\b|\bknn5_top[15]\b|\blambda_param\b", page.text)
    assert all(image["width"].isdigit() and image["height"].isdigit() for image in page.images)


def test_the_run_of_a_row_is_the_one_that_its_note_names():
    assert run_of(["run arb_d256 (groups 1): mean over seeds"], "digits") == "digits/arb_d256"
    assert run_of(["not run: needs the images", "run simclr: mean"], "CIFAR-10") == "cifar10/simclr"
    assert run_of(["not run: needs"], "CIFAR-10") is None


@pytest.fixture
def recorded(run, tmp_path, monkeypatch):
    """Two runs, of which one was made, in two jobs."""
    monkeypatch.chdir(tmp_path)
    paths = [f"results/runs/digits/arb/seeds{i}-{i}/training.json" for i in range(2)]
    for seed, path in enumerate(paths):
        of_seed = {
            "computed_on": ["cpu, float32"], "commit": "abc", "packages": {"torch": "2.15.0"}, "platform": "Linux",
            "wall_seconds": 40.0 + seed, "data_hash": "d" * 64, "began": "2026-11-01T10:00:00+00:00",
            "ended": f"2026-11-01T10:0{seed + 1}:00+00:00",
        }  # fmt: skip
        record = {"config_hash": "c" * 64, "settings": {"epochs": 20, "method": "arb"}, "seeds": {str(seed): of_seed}}
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text(json.dumps(record), encoding="utf-8")
    shared = {"dataset": "digits", "proj_dim": 256}
    return [
        run("ARB", 256) | shared | {"name": "arb", "trainings": paths},
        run("SimCLR", 256) | shared | {"name": "simclr", "trainings": ["results/runs/digits/simclr/seeds0-0/training.json"]},
    ]


def test_a_run_has_its_configuration_files_and_time(recorded):
    (found,) = read_runs(recorded)
    assert (found["place"], found["seeds"], found["seconds"], found["hash"]) == ("digits/arb", [0, 1], 81.0, "c" * 16)
    assert json.loads(found["settings"]) == {"epochs": 20, "method": "arb"}
    assert found["files"] == ["runs/digits/arb/seeds0-0", "runs/digits/arb/seeds1-1"]
    assert found["logs"] == ["logs/train/digits/arb/seeds0-0.log", "logs/train/digits/arb/seeds1-1.log"]
    summed = overview([found])
    assert (summed["runs"], summed["seeds"], summed["commits"]) == (1, 2, ["abc"])
    assert (summed["began"][11:16], summed["ended"][11:16]) == ("10:00", "10:02")
    tuned = recorded[0] | {"name": "arb_tuned"}
    again = read_runs([recorded[0], tuned])
    assert [run["same_as"] for run in again] == [None, "digits/arb"]
    assert overview(again)["hours"] == summed["hours"]  # one training counts once
    assert overview([]) is None


def test_a_damaged_record_is_told_by_name(recorded):
    Path(recorded[0]["trainings"][1]).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"seeds1-1/training\.json cannot be read"):
        read_runs(recorded)


def test_the_report_waits_for_what_is_asked(whole_config, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert Plan(whole_config | {"report": "claims"}).report_parts == ["results/claims.csv"]
    whole = Plan(whole_config).report_parts
    assert {"results/claims.csv", "results/table5.csv", "results/fig7.svg", "results/orderings.csv"} <= set(whole)
    with pytest.raises(SystemExit, match=r"unknown part of the report 'claim' \(did you mean 'claims'\?\)"):
        Plan(whole_config | {"report": "claim"})
