"""Every claim about numbers: its verdict follows from the data, and changes when the data says otherwise.

No verdict is written down here: each is compared with that of changed data.
"""

import re
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from arb_suite.audit import arithmetic, figure3
from arb_suite.audit.claims import claims_table, decide
from arb_suite.audit.consistency import table1_point_of_fig6
from arb_suite.audit.figure3 import FirstPoints, excluded, witness
from arb_suite.audit.finding import CHECKS, holds_if
from arb_suite.audit.provenance import PROTOCOLS, baseline_cells, published_for, source_of, with_published
from arb_suite.audit.rankings import ALL_OF_TABLE_1, OF_TABLE_1, rankings
from arb_suite.audit.sampling import compare
from arb_suite.audit.sizes import best_explanations, series
from arb_suite.printed import number, only, where

ROOT = Path(__file__).parents[2]
TOP1, TOP5 = "linear_top1", "linear_top5"
C10, C100, IN100 = "CIFAR-10", "CIFAR-100", "ImageNet-100"
VERDICTS = {"holds", "conditional", "refuted", "ill-posed", "inconclusive"}


def changed(paper, file, new, **columns):
    """The paper with other numbers in some rows of a file; `new` is one, or a function of the row."""
    rows = getattr(paper, file)
    found = where(rows, **columns)
    assert found, (file, columns)

    def other(row):
        name = "as_printed" if "as_printed" in row else "value"
        return {**row, name: new(row) if callable(new) else new}

    return replace(paper, **{file: tuple(other(row) if any(row is f for f in found) else row for row in rows)})


def plus(points):
    return lambda row: str(Decimal(number(row)) + Decimal(points))


def times(paper, *steps):
    """Apply several changes one after the other."""
    for file, new, columns in steps:
        paper = changed(paper, file, new, **columns)
    return paper


def said(paper, claim, **numbers):
    for name, new in numbers.items():
        paper = changed(paper, "sentences", new, claim=claim, name=name)
    return paper


def to_even_cents(row):
    cents = int(Decimal(number(row)) * 100)
    return str(Decimal(cents + cents % 2) / 100)


def gains_of_five(paper):
    def shuffled(row):
        return str(Decimal(number(only(paper.fig6, metric="acc1", variant="group", groups=row["groups"]))) + 5)

    return changed(paper, "fig6", shuffled, metric="acc1", variant="group_shuffle")


def baselines_as_published(paper):
    cells = {id(cell): number(published_for(paper, cell)) for cell in baseline_cells(paper)}
    tables = tuple({**cell, "as_printed": cells.get(id(cell), cell["as_printed"])} for cell in paper.tables)
    return changed(replace(paper, tables=tables), "tables", "99.99", table="table1", method="ARB", proj_dim="2048")


def distant_others(paper):
    tables = tuple(
        {**cell, "as_printed": str(Decimal(number(cell)) * Decimal("0.9"))}
        if cell["table"] == "table1" and not (cell["method"] == "ARB" and cell["proj_dim"] == "2048")
        else cell
        for cell in paper.tables
    )
    return replace(paper, tables=tables)


def log_over_all_images(paper):
    rows = tuple({**row, "linear_top1": str(Decimal(row["linear_top1"]) + Decimal("0.002"))} for row in paper.release_eval_log)
    return said(replace(paper, release_eval_log=rows), "P22", batches="196")


def theorem_with_the_words(paper):
    rows = tuple(
        {**row, "meaning": "it increases entropy and variance"} if row["name"] == "theorem" else row for row in paper.sentences
    )
    return replace(paper, sentences=rows)


def other_bold(paper):
    rows = tuple({**row, "bold": "1"} if number(row) == "90.07" else row for row in paper.tables)
    return replace(paper, tables=rows)


CHANGES = {
    "P1": lambda paper: said(paper, "P1", lead="10.27"),
    "P2": lambda paper: changed(paper, "tables", "92.20", table="table1", method="SimCLR", dataset=C10, metric=TOP1),
    "P3.linear": lambda paper: said(paper, "P3", base_top1="68.19"),
    "P3.knn": lambda paper: changed(paper, "tables", "71.11", table="table3", method="ARB", metric="knn5_top1"),
    "P4": lambda paper: changed(paper, "fig4", "74.0885", metric="acc1", method="arb", dim="4096"),
    "P5": lambda paper: changed(paper, "fig5", plus("-20"), panel_label="acc1"),
    "P6": lambda paper: changed(paper, "fig6", "67.47", metric="acc1", variant="group", groups="8"),
    "P7": gains_of_five,
    "P8": lambda paper: changed(paper, "fig7", "46.08", metric="acc1", method="simclr", epoch="90"),
    "P9": lambda paper: times(
        paper,
        ("tables", "79.00", {"table": "table4", "variant": "add off-diagonal term", "metric": "linear_top1"}),
        ("tables", "78.49", {"table": "table4", "variant": "MSE after l2 normalisation", "metric": "linear_top1"}),
    ),
    "P10": lambda paper: changed(
        paper, "tables", "91.81", table="table5", variant="instance", proj_dim="256", dataset=C10, metric=TOP1
    ),
    "P11": lambda paper: said(paper, "P11", shorter="50", longer="100"),
    "P12": lambda paper: changed(
        paper, "tables", "88.92", table="table2", method="Barlow Twins", proj_dim="8192", pretrain_epochs="100", metric=TOP5
    ),
    "P13": lambda paper: changed(paper, "release_readme", "92.18", method="ARB", dataset=C10, metric=TOP1),
    "P14": lambda paper: changed(paper, "tables", to_even_cents, dataset=IN100),
    "P15": other_bold,
    "P16": lambda paper: times(
        paper,
        ("tables", "68.19", {"table": "table3", "method": "ARB", "metric": "knn5_top1"}),
        ("tables", "5.20", {"table": "table3", "method": "Direct alignment", "metric": "knn5_top5"}),
    ),
    "P17": distant_others,
    "P18": baselines_as_published,
    "P19": lambda paper: changed(paper, "fig4", lambda row: f"{round(float(number(row)) * 50) / 50:.4f}"),
    "P20": lambda paper: changed(paper, "fig3", "1025", panel="base_distance", method="arb", iteration_hundreds="0"),
    "P21": theorem_with_the_words,
    "P22": log_over_all_images,
}


@pytest.fixture
def free_variance(monkeypatch, request):
    """Where the claim is about Eq. 7: a scaling that leaves the variance free."""
    if request.node.callspec.params.get("claim") == "P21":
        monkeypatch.setattr(figure3, "_variance_after_scaling", lambda: (0.5, 0.5))


@pytest.fixture(scope="module")
def verdicts(paper):
    return {claim: decide(paper, claim).verdict for claim in CHANGES}


@pytest.mark.parametrize("claim", CHANGES)
def test_the_verdict_changes_with_the_data(paper, verdicts, claim, free_variance):
    assert verdicts[claim] in VERDICTS
    other = decide(CHANGES[claim](paper), claim).verdict
    assert other in VERDICTS
    assert other != verdicts[claim]


def test_every_claim_is_decided_and_changed(paper):
    claims = [row["id"] for row in paper.claims]
    assert list(CHANGES) == claims
    assert set(CHECKS) == set(claims)
    with pytest.raises(LookupError, match="no check decides P99"):
        decide(paper, "P99")


# Each of the parts that a claim has, changed alone, is enough
@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("P4", lambda p: changed(p, "fig4", "33.1979", metric="acc1", method="barlow_twins", dim="32")),
        ("P4", lambda p: said(p, "P4", lead_at_32="28.18")),
        ("P2", lambda p: changed(p, "tables", "95.52", table="table1", method="VICReg", dataset=IN100, metric=TOP5)),
        ("P6", lambda p: changed(p, "fig6", "90.82", metric="acc5", variant="group_shuffle", groups="8")),
        ("P13", lambda p: changed(p, "tables", "79.47", table="table4", variant="standard", metric=TOP1)),
        ("P13", lambda p: changed(p, "fig6", "91.78", metric="acc5", variant="group_shuffle", groups="8")),
        ("P13", lambda p: changed(p, "tables", "68.20", table="table3", method="ARB", metric=TOP1)),
        (
            "P13",
            lambda p: changed(
                p, "tables", "68.20", table="table5", variant="feature", proj_dim="256", dataset=C100, metric=TOP1
            ),
        ),
        ("P15", lambda p: changed(p, "tables", "80.10", table="table1", method="MoCo V2", dataset=IN100, metric=TOP1)),
        ("P20", lambda p: changed(p, "fig3", "1025", panel="base_distance", method="direct", iteration_hundreds="0")),
        ("P20", lambda p: said(p, "P20", points="195")),
        ("P20", lambda p: said(p, "P20", iterations="100000")),
    ],
)
def test_one_changed_number_changes_the_verdict(paper, verdicts, claim, change):
    assert decide(change(paper), claim).verdict != verdicts[claim]


# What two faults decide stays as it is while only one of them is mended
@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("P8", lambda p: said(p, "P8", simclr_epoch="100")),
        ("P9", lambda p: changed(p, "tables", "79.00", table="table4", variant="add off-diagonal term", metric=TOP1)),
        ("P16", lambda p: changed(p, "tables", "68.19", table="table3", method="ARB", metric="knn5_top1")),
        ("P16", lambda p: changed(p, "tables", "5.20", table="table3", method="Direct alignment", metric="knn5_top5")),
        ("P21", theorem_with_the_words),
        ("P22", lambda p: said(p, "P22", batches="196")),
        ("P5", lambda p: changed(CHANGES["P5"](p), "fig5", "99.0", panel_label="acc5", method="barlow_twins")),
    ],
)
def test_one_mended_fault_of_two_is_not_enough(paper, verdicts, claim, change):
    assert decide(change(paper), claim).verdict == verdicts[claim]


def cut_off_over_2522(paper):
    """Fig. 4 as evaluations over 2522 images, the nominal number then, cut off after four digits."""
    paper = changed(paper, "fig4", lambda row: f"{int(round(float(number(row)) * 25.22) * 10**6 / 2522) / 10**4:.4f}")
    sets = tuple({**row, "n_eval": "2522"} if row["dataset"] == IN100 else row for row in paper.evaluation_sets)
    return replace(paper, evaluation_sets=sets)


def as_logged(paper):
    """The log with every accuracy one over half of the images."""
    rows = tuple({**row, "linear_top1": str(Decimal(row["linear_top1"]) - Decimal("0.002"))} for row in paper.release_eval_log)
    return replace(paper, release_eval_log=rows)


# From data with which each of them is as stated, one fault is enough
@pytest.mark.parametrize(
    ("claim", "sound", "fault"),
    [
        ("P8", CHANGES["P8"], lambda p: said(p, "P8", arb="47.95")),
        ("P8", CHANGES["P8"], lambda p: said(p, "P8", simclr_epoch="80")),
        ("P8", CHANGES["P8"], lambda p: said(p, "P8", barlow_twins="47.29")),
        (
            "P9",
            CHANGES["P9"],
            lambda p: changed(p, "tables", "79.49", table="table4", variant="add off-diagonal term", metric=TOP1),
        ),
        ("P11", CHANGES["P11"], lambda p: said(p, "P11", shorter="100")),
        (
            "P16",
            CHANGES["P16"],
            lambda p: changed(p, "tables", "5.50", table="table3", method="Direct alignment", metric="knn5_top5"),
        ),
        (
            "P16",
            CHANGES["P16"],
            lambda p: changed(p, "tables", "1.30", table="table3", method="Direct alignment", metric="knn5_top1"),
        ),
        (
            "P18",
            baselines_as_published,
            lambda p: changed(p, "tables", "70.01", table="table1", method="BYOL", dataset=C100, metric=TOP1),
        ),
        (
            "P18",
            baselines_as_published,
            lambda p: changed(p, "tables", "60.00", table="table1", method="ARB", dataset=C100, metric=TOP1),
        ),
        ("P19", cut_off_over_2522, lambda p: changed(p, "fig4", "61.3999", metric="acc1", method="arb", dim="32")),
        ("P22", CHANGES["P22"], lambda p: said(p, "P22", batches="98")),
        ("P22", CHANGES["P22"], as_logged),
    ],
)
def test_one_fault_is_enough(paper, claim, sound, fault):
    sound = sound(paper)
    verdict = decide(sound, claim).verdict
    assert verdict == holds_if(True)
    assert decide(fault(sound), claim).verdict != verdict


@pytest.mark.parametrize("fault", ["words", "variance", "figure"])
def test_one_fault_of_three_is_enough_for_entropy_and_variance(paper, monkeypatch, fault):
    monkeypatch.setattr(figure3, "_variance_after_scaling", lambda: (0.0, 0.0) if fault == "variance" else (0.5, 0.5))
    sound = paper if fault == "words" else theorem_with_the_words(paper)
    if fault == "figure":
        sound = changed(sound, "fig3", "0.9", panel="embedding_std", method="arb", iteration_hundreds="195")
    assert decide(sound, "P21").verdict == holds_if(False)


def test_a_lead_that_is_none_is_not_called_one(paper):
    assert "still above the best of both" in decide(paper, "P8").correction
    lower = changed(said(paper, "P8", arb="46.00"), "fig7", "46.00", metric="acc1", method="arb", epoch="30")
    assert "not above the best of both" in decide(lower, "P8").correction


def test_a_dimension_that_is_neither_excluded_nor_found_stays_open(paper, monkeypatch):
    monkeypatch.setattr(figure3, "witness", lambda *_: None)
    assert decide(paper, "P20").verdict not in (holds_if(True), holds_if(False))


def test_the_gain_of_the_shuffle_can_be_nowhere_as_stated(paper, verdicts):
    never = changed(paper, "fig6", "0.00", metric="acc1", variant="group_shuffle")
    everywhere = gains_of_five(paper)
    assert len({verdicts["P7"], *(decide(p, "P7").verdict for p in (never, everywhere))}) == 3


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("P1", ["91.81 - 87.39 = 4.42", "68.19 - 57.92 = 10.27", "74.86 - 67.21 = 7.65", "79.48 - 67.21"]),
        ("P3.linear", ["68.19", "71.10", "knn5_top1"]),
        ("P4", ["28.1919", "3.0928"]),
        ("P5", ["identical at 18 of 18", "6 of 6"]),
        ("P6", ["8 groups with the shuffle", "69.57", "4 of 4"]),
        ("P7", ["+4.97", "+5.36", "+6.93", "2 of the 8"]),
        ("P8", ["46.20 at epoch 90", "46.08 is the point of epoch 100"]),
        ("P9", ["5.30", "10.36"]),
        ("P11", ["100, 400", "50, 100"]),
        ("P13", ["50 of 50", "identical"]),
        ("P14", ["9 of 136", "95.51", "5000 images"]),
        ("P15", ["26 of 26"]),
        ("P16", ["68.19, kNN 71.10", "10.20"]),
        ("P17", ["of 42"]),
        ("P18", ["of 66", "77.04 = SimCLR (online)", "70.90 against ARB 69.57", "3 of 6"]),
        ("P19", ["0 of 32", "2522", "28 of 32"]),
        ("P20", ["d = 256 fits", "d = 2048 is excluded"]),
        ("P21", ["0 of 2", "0.9306 to 0.9673"]),
        ("P22", ["25000", "25088", "68 of the 68"]),
    ],
)
def test_the_evidence_has_the_decisive_numbers(paper, claim, words):
    evidence = decide(paper, claim).evidence
    assert [word for word in words if word not in evidence] == []


def test_the_table_has_every_claim_with_evidence(paper):
    table = claims_table(paper)
    assert list(table["id"]) == list(CHANGES)
    assert set(table["verdict"]) <= VERDICTS
    assert (table["evidence"].str.len() > 30).all()
    assert (table["check"] == "arb-audit claim " + table["id"]).all()
    needs_correction = table["verdict"] == "refuted"
    assert (table.loc[needs_correction, "correction"] != "").all()
    assert (table.loc[table["verdict"] == "conditional", "condition"] != "").all()


def test_no_verdict_stands_beside_an_id_in_any_file():
    """Results alone have both, and where the README shows results, tests/unit/test_readme.py computes them again."""
    ids, words = r"\b[PTEXO]\d+(\.\w+)*\b", rf"\b({'|'.join(VERDICTS)})\b"
    beside = re.compile(rf"{ids}.*{words}|{words}.*{ids}")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and not name.startswith("results/")]
    files = [file for file in files if file.is_file()]
    assert len(files) > 100
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        if file.name == "README.md":
            text = re.sub(r"<!-- (\w+): generated.*?<!-- end of \1 -->", "", text, flags=re.DOTALL)
        found += [f"{file.name}: {line}" for line in text.splitlines() if beside.search(line)]
    assert found == []


def test_pairs_that_give_a_difference_are_of_one_column(paper):
    pairs = arithmetic.pairs_that_give(paper.tables, "12.27")
    assert pairs
    for high, low in pairs:
        assert Decimal(number(high)) - Decimal(number(low)) == Decimal("12.27")
        assert all(high[name] == low[name] for name in ("table", "dataset", "metric"))
    assert arithmetic.pairs_that_give(paper.tables, "99.99") == []


def test_table_1_is_one_point_of_fig_6(paper):
    assert table1_point_of_fig6(paper) == ("group_shuffle", "8")


def test_sources_of_baselines(paper):
    sources = {
        (s.cell["method"], s.cell["proj_dim"], s.cell["dataset"], s.cell["metric"]): s
        for s in (source_of(paper, c) for c in baseline_cells(paper))
    }
    assert len(sources) == 66
    moco = sources["MoCo V2", "256", IN100, "linear_top1"]  # 78.2 printed, 78.20 published
    assert (moco.kind, moco.gap) == ("equal", 0)
    assert moco.text == "equals the library's online cell of the method"
    simsiam = sources["SimSiam", "2048", IN100, "linear_top1"]
    assert simsiam.kind == "equal to another method"
    assert (
        simsiam.text == "equals the library's cell of SimCLR (online); differs from the method's own 78.72 (offline) by -1.68"
    )
    vicreg = sources["VICReg", "2048", C10, "linear_top1"]
    assert (vicreg.kind, vicreg.gap) == ("different", Decimal("-2.00"))
    for source in sources.values():
        assert (source.kind == "equal") == (source.gap == 0)


def test_published_numbers_stand_for_the_widest_row_of_a_method(paper):
    replaced = {protocol: with_published(paper, protocol) for protocol in PROTOCOLS}

    def cell(protocol, method, proj_dim, dataset=IN100, metric=TOP1):
        tables = replaced[protocol].tables if protocol else paper.tables
        return number(only(tables, table="table1", method=method, proj_dim=proj_dim, dataset=dataset, metric=metric))

    assert [cell(protocol, "Barlow Twins", "2048") for protocol in PROTOCOLS] == ["80.38", "80.16", "80.38"]
    assert [cell(protocol, "SimCLR", "256") for protocol in PROTOCOLS] == ["77.04", "77.48", "77.48"]
    # CIFAR was evaluated online alone.
    assert {cell(protocol, "VICReg", "2048", C10) for protocol in PROTOCOLS} == {"92.07"}
    for protocol in PROTOCOLS:
        assert cell(protocol, "Barlow Twins", "256") == cell("", "Barlow Twins", "256")
        changed_rows = {
            (new["table"], new["method"])
            for new, old in zip(replaced[protocol].tables, paper.tables, strict=True)
            if new["as_printed"] != old["as_printed"]
        }
        assert {table for table, _ in changed_rows} == {"table1"}
        assert "ARB" not in {method for _, method in changed_rows}
        assert replace(replaced[protocol], tables=paper.tables) == paper


def test_rankings_are_adjusted_within_their_claim(paper):
    found = rankings(paper)
    counts = {claim: sum(r.pair.claim == claim for r in found) for claim in dict.fromkeys(r.pair.claim for r in found)}
    assert counts == {
        "P1": 3, "P2": 6, "P17": 42, ALL_OF_TABLE_1: 6 * 13 * 12 // 2, "Table 3": 4, "P9": 2, "P10": 8, "P12": 12, "P16": 2,
        "P4": 16, "P5": 12, "P6": 4, "P7": 9, "P8": 2,
    }  # fmt: skip
    for ranking in found:
        assert ranking.p.best <= ranking.p.worst
        assert ranking.difference == Decimal(number(ranking.pair.left)) - Decimal(number(ranking.pair.right))
        assert ranking.exceeds is (ranking.difference > 0 and ranking.p.unpaired < 0.05)
    vicreg = next(
        r for r in found if r.pair.right_name == "VICReg (d = 2048)" and r.pair.dataset == IN100 and r.pair.claim == "P17"
    )
    assert (number(vicreg.pair.left), number(vicreg.pair.right), vicreg.n) == ("79.48", "79.22", 5000)
    assert vicreg.survives == "with some overlaps only"
    raw = compare(79.48, 79.22, 5000)
    assert vicreg.p.best > raw.best
    assert [r for r in found if r.pair.claim in OF_TABLE_1] == rankings(paper, *OF_TABLE_1)


def test_pairs_of_a_claim_differ_in_what_it_compares(paper):
    for ranking in rankings(paper):
        left, right = ranking.pair.left, ranking.pair.right
        apart = {name for name in left if left[name] != right[name]} - {"as_printed", "value", "bold", "page"}
        allowed = {
            "P1": {"method"}, "P2": {"method", "proj_dim"}, "P17": {"method", "proj_dim"}, "Table 3": {"method"},
            ALL_OF_TABLE_1: {"method", "proj_dim", "variant"}, "P9": {"variant"}, "P10": {"variant"}, "P12": {"method"},
            "P16": {"metric"}, "P4": {"method"}, "P5": {"method"}, "P6": {"groups"}, "P7": {"variant"},
            "P8": {"method", "epoch"},
        }  # fmt: skip
        assert apart <= allowed[ranking.pair.claim], ranking.pair


def test_series_have_the_nominal_images(paper):
    found = {(s.name, s.dataset): s for s in series(paper)}
    assert sum(len(s.printed) for (name, _), s in found.items() if name.startswith("Table")) == 136
    assert found["Fig. 4", IN100].n == 5000
    assert found["log of the release", "ImageNet-1k"].n == 50000
    assert len(found["log of the release", "ImageNet-1k"].printed) == 80
    (best, *others) = best_explanations(found["log of the release", "ImageNet-1k"].printed, 50000)
    assert (best.n, [other.n for other in others]) == (25000, [50000])
    assert best_explanations(("12.3456", "23.4567", "34.5678"), 10) == []


def test_excluded_dimensions():
    points = FirstPoints(367.41, 466.30, 270.59, 0.005)
    assert excluded(points, "direct", 256, 256) == ""
    assert "is not between" in excluded(points, "direct", 249, 256)  # 367.41^2 / (2 x 270.59) = 249.4
    assert excluded(points, "direct", 250, 256) == ""
    assert "4d" in excluded(points, "direct", 91, 256)
    assert "4 min(d, N - 1)" in excluded(points, "direct", 256, 100)
    arb = FirstPoints(391.79, 464.44, 426.94, 0.005)
    assert excluded(arb, "arb", 256, 256) == ""
    assert "base of rank 255" in excluded(arb, "arb", 2048, 256)
    assert "8d" in excluded(FirstPoints(391.79, 464.44, 2049.0, 0.005), "arb", 256, 256)


@pytest.mark.parametrize("method", ["direct", "arb"])
def test_no_embeddings_are_excluded_that_exist(method):
    import torch
    from arb_core import ARBLoss, DirectAlignmentLoss, nearest_orthonormal_basis, standard_scale

    for d in (4, 12, 40):
        views = torch.randn(2, 16, d, dtype=torch.float64, generator=torch.Generator().manual_seed(d))
        z_a, z_b = map(standard_scale, views)
        base_a, base_b = (nearest_orthonormal_basis(z, ridge=1e-4) for z in (z_a, z_b))
        loss = (ARBLoss(ridge=1e-4) if method == "arb" else DirectAlignmentLoss())(*views)
        points = FirstPoints(float(((z_a - z_b) ** 2).sum()), float(((base_a - base_b) ** 2).sum()), float(loss), 1e-6)
        assert excluded(points, method, d, 16) == ""


@pytest.mark.parametrize("method", ["direct", "arb"])
def test_a_witness_has_the_points_of_the_figure(paper, method):
    """Checked without the code that found it: by the singular value decomposition, in numpy."""
    points = figure3.first_points(paper, method)
    views = witness(points, method, 256, 256, 1e-4)
    assert views is not None
    bases = []
    for z in views:
        assert z.shape == (256, 256)
        np.testing.assert_allclose(z.sum(0), 0, atol=1e-9)
        np.testing.assert_allclose((z**2).sum(0), 1, atol=1e-9)
        u, s, vt = np.linalg.svd(z)
        bases.append((u * s / np.sqrt(s**2 + 1e-4)) @ vt)
    targets = views[::-1] if method == "direct" else bases[::-1]
    loss = sum(((1 - (z * target).sum(0)) ** 2).sum() for z, target in zip(views, targets, strict=True))
    found = ((views[0] - views[1]) ** 2).sum(), ((bases[0] - bases[1]) ** 2).sum(), loss
    np.testing.assert_allclose(found, (points.distance, points.base_distance, points.loss), atol=0.006)


def test_there_is_no_witness_of_what_cannot_be():
    assert witness(FirstPoints(12.0, 39.9, 0.1, 0.005), "direct", 10, 40, 1e-4) is None


def test_the_least_loss_of_groups_is_that_of_each():
    assert figure3.least_loss(256, 256, groups=4) == 0  # 64 dimensions each
    assert figure3.least_loss(2048, 256, groups=8) == pytest.approx(8 * figure3.least_loss(256, 256))
