"""The report as text: what is on it, that it says what is missing, and that it stands alone."""

import json
import re
from pathlib import Path
from shutil import copy

import pandas as pd
import pytest
import yaml

from arb_suite.jobs import UserError
from arb_suite.report.claims import counterexamples
from arb_suite.report.job import _drawn
from arb_suite.report.notation import typeset
from arb_suite.report.trained import measured_on

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results/reference"
OUTLINE = yaml.safe_load((ROOT / "workflow/report/report.yaml").read_text(encoding="utf-8"))


def test_every_claim_is_there_with_its_verdict(parsed, source, claims):
    for claim in claims.to_dict("records"):
        (article,) = re.findall(
            rf'<article class="claim {claim["verdict"]}" id="{re.escape(claim["id"])}".*?</article>', source, re.S
        )
        text = parsed(article).text
        for value in (claim["id"], claim["verdict"], parsed(f"<p>{typeset(claim['where'])}</p>").text, claim["check"]):
            assert value in text


def test_every_refuted_claim_of_the_theory_shows_matrices(source, claims):
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


def test_the_same_results_give_the_same_bytes(rendered, source):
    _drawn.cache_clear()
    assert rendered(REFERENCE) == source


def test_without_results_it_says_what_to_type(rendered, parsed, tmp_path):
    page = parsed(rendered(tmp_path))
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


def test_what_lies_there_is_shown_beside_what_is_missing(rendered, parsed, tmp_path):
    copy(REFERENCE / "table3.csv", tmp_path)
    page = parsed(rendered(tmp_path))
    assert "Table 3 was not made" not in page.text
    assert "Table 4 was not made" in page.text
    assert "71.1" in page.text


def test_without_folders_of_runs_measured_numbers_are_not_said_to_be_untrained(rendered, parsed, page, tmp_path):
    caveat = "Nothing was trained on the paper's own data sets here"
    assert "Nothing was trained yet" not in page.text
    assert page.text.count("The run folders are not beside this page") == 2
    on = r"bundled digits \(handwritten digits, 24 . 24 pixels\) and bundled glyphs"
    assert re.search(f"{caveat}: all measurements are on {on}", page.text)
    assert "over 3 seeds each" in page.text
    for name in ("table3.csv", "fig7.csv", "orderings.csv"):  # any of them alone
        (tmp_path / name[:-4]).mkdir()
        copy(REFERENCE / name, tmp_path / name[:-4])
        text = parsed(rendered(tmp_path / name[:-4])).text
        assert caveat in text
        assert ("bundled glyphs" in text) == (name == "orderings.csv")  # which alone of them has glyphs
        assert "Nothing was trained yet" not in text
    printed = pd.read_csv(REFERENCE / "table3.csv", dtype=str, keep_default_na=False).query("paper != ''")
    printed.to_csv(tmp_path / "table3.csv", index=False)
    text = parsed(rendered(tmp_path)).text
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
def one_run(rendered, plan_of_report, tmp_path, monkeypatch):
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
    return rendered(Path("results"))


def test_an_ordering_links_to_the_runs_that_are_there(parsed, one_run):
    (row,) = re.findall(r'<tr id="Figure4\.d4">.*?</tr>', one_run, re.DOTALL)
    assert [link for link in parsed(row).links if link.startswith("#run")] == ["#run-digits-arb_d4"]
    assert "#run-digits-arb_d4" in {f"#{identity}" for identity in parsed(one_run).ids}


def test_what_was_not_looked_at_is_not_claimed_and_one_is_no_plural(parsed, one_run, page):
    text = parsed(one_run).text
    assert "every claim of its theory" not in text
    assert "what was not says so" in text
    assert "1 training, 1 seed in all" in text
    assert "every claim of its theory" not in page.text  # the audit's tables are not among the reference


def test_the_orderings_of_each_data_set_can_be_reached_from_its_table(source, orderings):
    glyphs = set(orderings.loc[orderings["dataset"] == "glyphs", "claim"])
    below = source[source.index('id="table_glyphs"') : source.index('id="orderings"')]
    linked = {link for link in re.findall('href="#(.*?)"', below) if link.endswith(".glyphs")}
    assert linked == {f"{claim}.glyphs" for claim in glyphs if claim.startswith(("Table", "Figure"))}
    assert len(linked) > 5
    assert "orderings on the glyphs: " in below
    for link in linked:
        assert f'<tr id="{link}">' in source


def test_a_damaged_table_is_told_by_name(rendered, tmp_path):
    (tmp_path / "claims.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"claims\.csv cannot be read"):
        rendered(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda claims: claims.head(20), r"claims\.csv lacks T4\.max, T5\.grad, T5\.orth\.fullrank and 36 more"),
        (lambda claims: claims.assign(verdict="true"), "has the verdict 'true'"),
        (lambda claims: claims.drop(columns="verdict"), r"claims\.csv has no column verdict"),
    ],
)
def test_claims_that_are_not_whole_are_refused(rendered, tmp_path, claims, change, said):
    change(claims).to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(UserError, match=f"{said}.*; delete it"):
        rendered(tmp_path)


def test_generated_images_are_told_apart(rendered, parsed, tmp_path):
    table = pd.read_csv(REFERENCE / "table_main.csv", dtype=str, keep_default_na=False)
    of_cifar = table["dataset"] == "CIFAR-10"
    table.loc[of_cifar, "note"] = "run arb_d256: mean over seeds, 40 GENERATED images in the format of CIFAR-10"
    table.to_csv(tmp_path / "table_main.csv", index=False)
    text = parsed(rendered(tmp_path)).text
    assert "GENERATED images in the format of CIFAR-10:" in text
    assert "GENERATED images in the format of CIFAR-100" not in text


def test_what_is_in_a_table_is_no_html(rendered, tmp_path, claims):
    hostile = claims.assign(evidence='<script>alert("1")</script> & <b>')
    hostile.to_csv(tmp_path / "claims.csv", index=False)
    page = rendered(tmp_path)
    assert page.count("<script>") == 1
    assert "&lt;script&gt;alert" in page
