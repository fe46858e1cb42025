"""What the report says of orderings, tables and figures: sentences, cells of the paper, remarks, and what is seen."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from arb_suite.cells import TABLES, printed_cells
from arb_suite.plots import draw, draw_spectra
from arb_suite.printed import FOLDER
from arb_suite.report.beside import beside
from arb_suite.report.compared import ordering_rows, ordering_tally
from arb_suite.report.seen import seen
from arb_suite.report.tables import blocks, effective_ranks, side_by_side, take_remarks

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "results/reference"
REMARKS = yaml.safe_load((ROOT / "workflow/report/report.yaml").read_text(encoding="utf-8"))["remarks"]


def table(name):
    return pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False)


@pytest.fixture
def compared(whole_plan):
    """A function that gives the orderings as they are shown, by data set and name."""
    plan = json.loads(whole_plan.report())

    def make(orderings):
        rows, remarks = ordering_rows(orderings, plan["orderings"], plan["runs"], FOLDER, REMARKS)
        return {(row["dataset"], row["claim"]): row for row in rows}, remarks

    return make


# --- orderings --------------------------------------------------------------------------------------------------------


def test_an_ordering_is_a_sentence_beside_the_cells_of_the_paper(compared):
    rows, _ = compared(table("orderings"))
    d4 = rows["digits", "Figure4.d4"]
    assert d4["says"] == "ARB above Barlow Twins: d = 4"
    assert d4["cell"] == "Fig. 4, ImageNet-100, d = 32: ARB minus Barlow Twins"
    assert d4["runs"] == ["digits/arb_d4", "digits/barlow_twins_d4"]
    assert rows["digits", "Table3.collapse_knn"]["says"] == "ARB above Direct alignment: d = 256, kNN top-1"
    assert rows["digits", "Table1.simclr.tuned"]["says"] == "ARB (d = 256) above SimCLR (d = 32): tuned"
    assert rows["digits", "Table1.simclr"]["cell"] == "Table 1, CIFAR-100: ARB (d = 2048) minus SimCLR (d = 256)"
    assert rows["digits", "Figure6.groups"]["says"] == "ARB (8 groups) above ARB (1 group): d = 256"
    assert rows["digits", "release.embedding"]["cell"] == ""
    half, whole = (rows["digits", f"Table2.{name}"] for name in ("d32_half", "d32"))
    assert (half["says"], whole["says"]) == tuple(f"ARB above Barlow Twins: d = 32, {n} epochs" for n in (10, 20))
    said = [(row["dataset"], row["place"], row["says"]) for row in rows.values()]
    assert len(said) == len(set(said))


def test_a_statement_that_the_paper_contradicts_says_so(compared):
    orderings = table("orderings")
    rows, _ = compared(orderings)
    remarked = {name for (_, name), row in rows.items() if row["remark"] and row["place"] != "Fig. 5"}
    assert remarked == {"Table3.probe_arb", "Table3.probe_arb.tuned"}
    assert "-2.91 points" in rows["digits", "Table3.probe_arb"]["remark"]
    turned = orderings.assign(paper_difference=orderings["paper_difference"].str.removeprefix("-"))
    assert not any(row["remark"] for row in compared(turned)[0].values() if row["place"] != "Fig. 5")


def test_what_is_remarked_of_a_figure_stands_beside_each_of_its_orderings(compared):
    rows, _ = compared(table("orderings"))
    of_figure = {row["remark"] for row in rows.values() if row["claim"].startswith("Figure5.")}
    assert of_figure == {REMARKS["Figure5"]}
    assert "P5" in REMARKS["Figure5"]


def test_an_ordering_that_is_not_configured_is_shown_as_it_is_written(compared):
    orderings = table("orderings").tail(1).assign(claim="Mine.other", left="A (d = 4)", right="B (d = 8)")
    row = compared(orderings)[0][orderings["dataset"].iloc[0], "Mine.other"]
    assert (row["says"], row["cell"], row["runs"]) == ("A (d = 4) above B (d = 8)", "", [])


def test_what_differs_comes_first_and_what_is_contradicted_is_named_once(compared):
    rows, _ = compared(table("orderings"))
    assert rows["digits", "Figure6.shuffle_g8"]["says"] == "With shuffle above without it: ARB, d = 256, 8 groups"
    assert rows["digits", "release.divisor_d32"]["says"] == "ARB above ARB with divisor d (R2): d = 32"
    assert rows["digits", "Table4.no_batch_norm"]["says"] == "ARB above ARB (no BN in projector): d = 256"
    assert rows["digits", "Table5.d32"]["says"] == "ARB above ARB (instance level): d = 32"
    assert rows["digits", "Figure4.d4"]["printed"] == "28.19"
    contradicted = ordering_tally(list(rows.values()))["contradicted"]
    names = [(row["dataset"], row["claim"].removesuffix(".tuned")) for row in contradicted]
    assert len(names) == len(set(names))
    also = {row["claim"]: row["also"] for row in contradicted}
    assert also["Figure3.standard_deviation"] == "also tuned"
    alone = ordering_tally([row for row in rows.values() if row["settings"] == "customary"])["contradicted"]
    assert {row["also"] for row in alone} == {""}


def test_orderings_that_the_tables_claim_are_counted_and_the_comparisons_behind_them(compared):
    rows, _ = compared(table("orderings"))
    counted = ordering_tally(list(rows.values()))
    assert counted["opposite"] == ["Table 3"]  # which prints kNN above the linear probe
    claimed = [row for row in rows.values() if re.match("Table|Figure", row["claim"]) and ".probe_arb" not in row["claim"]]
    of_glyphs = [row for row in claimed if row["dataset"] == "glyphs"]
    assert counted["counts"]["glyphs", "customary"].total() == len(of_glyphs)
    # One measured difference stands in Tables 1 and 2 and in Figs. 4 and 5
    assert (
        counted["comparisons"]["glyphs", "customary"] == len({row["measured_difference"] for row in of_glyphs}) < len(of_glyphs)
    )
    for settings in ("customary", "tuned"):
        key = ("digits", settings)
        own = [row for row in claimed if (row["dataset"], row["settings"]) == key and row["verdict"] != "not run"]
        # No two comparisons of the reference agree in their difference and both ends of its interval
        different = {(row["measured_difference"], row["ci_low"], row["ci_high"]) for row in own}
        assert counted["comparisons"][key] == len(different) < counted["counts"][key].total() == len(own)
        assert counted["pointing"][key] == sum(float(row["measured_difference"]) > 0 for row in own)


def test_notes_are_whole_though_shared_remarks_are_said_once(compared):
    orderings = table("orderings")
    rows, remarks = compared(orderings)
    for written in orderings.to_dict("records"):
        row = rows[written["dataset"], written["claim"]]
        told = [*row["told"], *row["notes"], *(remarks[number - 1] for number in row["remarks"])]
        kept = [part for part in re.split(r"; (?=[A-Z][\w() -]*: |p = )", written["note"])[1:] if not part.startswith("paper")]
        assert set(kept) <= set(told)
    assert len(remarks) == len(set(remarks))


def test_what_is_shared_is_taken_out_of_rows():
    rows = [{"notes": notes} for notes in (["all", "few", "x"], ["all", "few"], ["few", "all"], ["all", "y", "y"])]
    assert take_remarks(rows) == {"shared": ["all"], "remarks": ["few"]}
    assert [row["notes"] for row in rows] == [["x"], [], [], ["y"]]
    assert [row["remarks"] for row in rows] == [[1], [1], [1], []]
    assert take_remarks([{"notes": ["alone"]}]) == {"shared": [], "remarks": []}


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table_main", "table3"])
def test_the_effective_rank_stands_beside_the_accuracies(name):
    ranks = effective_ranks(map(table, ("table_main", "table_tuned", "table_glyphs")))
    (found,) = (block for block in blocks(table(name), None, ranks) if block["dataset"] == "digits")
    assert found["ranked"]
    shown = {row["run"]: row["rank"] for row in found["rows"]}
    assert shown["digits/arb_d256"] == "98.0 of 256"
    assert shown["digits/direct_alignment"] == "1.1 of 256"
    assert not any(block["ranked"] for block in blocks(table(name)))


def test_a_variant_that_its_method_tells_has_no_column():
    of_paper, *_ = blocks(table("table_main"))
    assert "variant" not in of_paper["columns"]
    assert set(of_paper["variants"]) == {"asymmetric", "symmetric"}
    assert "ARB" in of_paper["variants"]["symmetric"]
    by_level = blocks(table("table5"))[0]
    assert "variant" in by_level["columns"]
    assert by_level["variants"] == {}


@pytest.fixture
def printed_beside(whole_plan):
    """A function that gives what the paper prints in the place of the runs of a table."""
    plan = json.loads(whole_plan.report())
    cells = {place: printed_cells(FOLDER, place) for place in TABLES}
    return lambda name: beside(name, plan, cells)


@pytest.mark.parametrize(
    ("name", "headings", "run", "numbers"),
    [
        ("table_main", ["CIFAR-10", "CIFAR-100", "ImageNet-100"], "digits/arb_d256", ["92.19", "69.57", "79.48"]),
        ("table_main", ["CIFAR-10", "CIFAR-100", "ImageNet-100"], "digits/byol", ["92.61", "70.18", "80.09"]),
        (
            "table_tuned",
            ["CIFAR-10", "CIFAR-100", "ImageNet-100"],
            "digits/barlow_twins_d256_tuned",
            ["89.57", "69.18", "78.62"],
        ),
        ("table2", ["ImageNet-1k"], "digits/arb_d32_half", ["49.95"]),
        ("table2", ["ImageNet-1k"], "digits/arb_d32_half_tuned", ["49.95"]),
        ("table3", ["CIFAR-100", "CIFAR-100"], "digits/direct_alignment", ["16.98", "1.10"]),
        ("table4", ["ImageNet-100"], "digits/arb_l2", ["69.12"]),
        ("table5", ["CIFAR-10", "CIFAR-100"], "digits/arb_instance_d32", None),
    ],
)
def test_beside_a_run_stands_what_is_printed_in_its_place(printed_beside, name, headings, run, numbers):
    found = printed_beside(name)
    assert [data for data, _ in found.headings] == headings
    if numbers is None:  # as the file has them
        rows = [row for row in printed_cells(FOLDER, name) if (row["variant"], row["proj_dim"]) == ("instance", "256")]
        numbers = [row["as_printed"] for row in rows if row["metric"] == "linear_top1"]
    assert [cell["as_printed"] for cell in found.cells[run]] == numbers
    of_digits = [block for block in blocks(table(name), beside=found) if block["dataset"] == run.partition("/")[0]]
    shown = {row["run"]: row for block in of_digits for row in block["rows"]}
    assert [cell["paper"] for cell in shown[run]["beside"]] == numbers
    dims = {"digits/arb_d256": "2048", "digits/byol": "4096", "digits/arb_d32_half": "256", "digits/direct_alignment": ""}
    if run in dims:
        assert shown[run]["paper_dim"] == dims[run]


def test_of_a_run_that_the_paper_has_not_nothing_stands_beside(printed_beside):
    found = printed_beside("table_main")
    assert {"digits/random_encoder", "digits/supervised", "digits/direct_alignment"}.isdisjoint(found.cells)
    (block,) = (block for block in blocks(table("table_main"), beside=found) if block["dataset"] == "digits")
    shown = {row["run"]: row["beside"] for row in block["rows"]}
    assert shown["digits/supervised"] == [None, None, None]
    assert not any(block["beside"] for block in blocks(table("table_main")))
    assert printed_beside("table_glyphs") == ([], {})


def test_bold_is_as_printed():
    for place in TABLES:
        bold = [cell for cell in printed_cells(FOLDER, place) if cell["bold"] == "1"]
        found = blocks(table(place.replace("table1", "table_main")), bold=bold)
        shown = [cell for block in found for row in block["rows"] for cell in row["cells"] if cell and cell["bold"]]
        keys = ("method", "proj_dim", "dataset", "metric")
        told = sorted((*(cell[key] for key in keys), cell["paper"]) for cell in shown)
        assert told == sorted((*(cell[key] for key in keys), cell["as_printed"]) for cell in bold) != []


def test_data_sets_that_are_printed_alone_stand_side_by_side():
    apart = blocks(table("table_main"))
    joined, digits = side_by_side(apart)
    assert (joined["dataset"], digits["dataset"]) == ("CIFAR-10, CIFAR-100, ImageNet-100", "digits")
    assert joined["of"] == ["CIFAR-10", "CIFAR-10", "CIFAR-100", "CIFAR-100", "ImageNet-100", "ImageNet-100"]
    for number, row in enumerate(joined["rows"]):
        assert row["names"] == apart[0]["rows"][number]["names"]
        assert row["cells"] == [cell for block in apart[:3] for cell in block["rows"][number]["cells"]]
        assert [cell["dataset"] for cell in row["cells"]] == joined["of"]
    assert joined["notes"] == [note for block in apart[:3] for note in block["notes"]]
    # Not what was measured, nor what has other rows
    apart[1]["measured"] = True
    assert len(side_by_side(apart)) == 4
    apart[1]["measured"] = False
    apart[1]["rows"] = apart[1]["rows"][1:]
    assert len(side_by_side(apart)) == 4


def test_a_dimension_that_no_row_has_is_no_column():
    of_paper, digits = blocks(table("table3"))
    assert "d" not in of_paper["columns"]
    assert "d" in digits["columns"]


# --- figures ----------------------------------------------------------------------------------------------------------


def test_what_is_seen_is_read_from_the_curves():
    fig4 = table("fig4")
    caption, more = seen("fig4", fig4)
    assert "In the paper, linear top-1: ARB is above Barlow Twins at 8 of 8 output dimensions" in caption
    assert "(+28.19 at d = 32 and +3.09 at d = 4096)" in caption
    assert "linear top-5" in more
    exchanged = fig4.assign(method=fig4["method"].map({"ARB": "Barlow Twins", "Barlow Twins": "ARB"}))
    assert (
        "above Barlow Twins at 0 of 8 output dimensions (-28.19 at d = 32 and -3.09 at d = 4096)" in seen("fig4", exchanged)[0]
    )


def test_what_is_seen_of_the_other_figures():
    fig5, fig6, fig7 = (table(name) for name in ("fig5", "fig6", "fig7"))
    assert "ARB is above SimCLR at 6 of 6 batch sizes" in seen("fig5", fig5)[0]
    assert "5 epochs at batch size 32, 10 epochs at batch size 64, 20 epochs at batch size 128" in seen("fig5", fig5)[0]
    assert "these runs have 50 epochs, most others 20" in seen("fig6", fig6, usual=20)[0]
    assert "epochs, most others" not in seen("fig6", fig6, usual=50)[0]
    assert "with shuffle is above ARB without shuffle at 8 of 9 numbers of groups and equal at 1" in seen("fig6", fig6)[0]
    assert "ARB is first at epoch 30 above the best of the others, 47.35" in seen("fig7", fig7)[0]
    later = fig7.assign(paper=fig7["paper"].where(fig7["method"] != "SimCLR", "99.00"))
    assert "ARB is never above the best of the others, 99.00" in seen("fig7", later)[0]


def test_two_panels_of_the_same_numbers_are_said_once():
    fig5 = table("fig5")
    caption, more = seen("fig5", fig5)
    assert caption.startswith("In the paper, the panel labelled ACC@1, with which that labelled ACC@5 is identical (P5): ARB")
    assert "In the paper" not in more
    other = fig5["paper"].where((fig5["metric"] != "linear_top5") | (fig5["paper"] == ""), "50.00")
    caption, more = seen("fig5", fig5.assign(paper=other))
    assert caption.startswith("In the paper, linear top-1: ARB")
    assert more.startswith("In the paper, linear top-5: ")


def test_captions_have_the_differences_of_the_orderings():
    orderings = table("orderings")
    for name, *claims in (
        ("fig4", "Figure4.d4", "Figure4.d512", "Figure4.d4.tuned", "Figure4.d256.tuned"),
        (
            "fig5",
            *(
                f"Figure5.{rival}_b{size}{tuned}"
                for rival in ("simclr", "barlow_twins")
                for size in (32, 128)
                for tuned in ("", ".tuned")
            ),
        ),
        ("fig6", "Figure6.shuffle_g64"),
    ):
        caption, _ = seen(name, table(name), orderings)
        for claim in claims:
            (difference,) = orderings.query("claim == @claim and dataset == 'digits'")["measured_difference"]
            assert f"{float(difference):+.2f} at" in caption, (claim, caption)


def test_what_is_seen_of_collapse():
    caption, whole = seen("fig3", table("fig3"))
    assert (
        "In the paper, the standard deviation of the embeddings before Eq. 7 is 0.760 with direct alignment and 0.967 with ARB"
        " at the last iteration" in caption
    )
    assert "On the bundled digits" in caption
    assert whole.count("the loss goes from") == 2
    spectra = table("spectra")
    assert "Direct alignment (d = 256) 1, before 30" in seen("spectra", spectra)[0]
    flat = spectra.assign(singular_value="1.0")
    assert "Direct alignment (d = 256) 256, before 256" in seen("spectra", flat)[0]


@pytest.mark.parametrize("name", ["fig3", "fig4", "fig7"])
def test_what_lacks_a_curve_is_passed_over(name):
    whole = table(name)
    alone = whole[(whole["method"] != "ARB") | (whole["paper"] != "")]
    assert "In the paper" in seen(name, alone)[0]
    assert "ARB is" not in " ".join(re.findall(r"On the bundled digits.*", seen(name, alone)[0]))


def test_for_narrow_screens_two_panels_stand_side_by_side():
    for name in ("fig3", "fig5"):
        wide, narrow = draw(name, table(name)), draw(name, table(name), narrow=True)
        assert len(wide.axes) == len(narrow.axes)
        assert narrow.get_figwidth() < 4 < wide.get_figwidth()
        drawn = [sorted(len(line.get_xdata()) for axis in figure.axes for line in axis.lines) for figure in (wide, narrow)]
        assert drawn[0] == drawn[1]
    spectra = pd.read_csv(REFERENCE / "spectra.csv")
    assert draw_spectra(spectra, narrow=True).get_figwidth() < 4 < draw_spectra(spectra).get_figwidth()
