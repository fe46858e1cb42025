import numpy as np
import pandas as pd
import pytest
from scipy import stats

from arb_suite.cells import PLACES, printed_cells
from arb_suite.jobs import UserError
from arb_suite.orderings import COMMAND, orderings
from arb_suite.printed import FOLDER
from arb_suite.statistics import holm

COLUMNS = "claim,dataset,left,right,paper_difference,measured_difference,ci_low,ci_high,n_seeds,verdict,note"
SHIFTS = {"wins": 5.0, "loses": -5.0, "ties": 0.1}
BASE = np.array([60.0, 65.0, 61.0])
NOISE = np.array([0.1, -0.1, 0.2])


@pytest.fixture(scope="module")
def cells(request):
    root = request.config.rootpath
    return {place: printed_cells(root / FOLDER, place) for place in PLACES}


def claims_on(*lefts, family="Claim"):
    return [{"name": f"{family}.{left}", "left": left, "right": "base", "metric": "linear_top1"} for left in lefts]


@pytest.fixture
def raced(run, measured):
    runs = [run(name, 64, name=name) for name in [*SHIFTS, "base"]]
    values = [(entry, "linear_top1", BASE + SHIFTS[entry["name"]] + NOISE) for entry in runs if entry["name"] in SHIFTS]
    return runs, measured(*values, (runs[-1], "linear_top1", BASE))


def test_all_verdicts(cells, raced):
    runs, metrics = raced
    decided = orderings(claims_on("wins", "loses", "ties", "absent"), cells, runs, metrics, {})
    assert ",".join(decided.columns) == COLUMNS
    assert decided["verdict"].tolist() == ["supported", "contradicted", "inconclusive", "not run"]
    assert decided["n_seeds"].tolist() == ["3", "3", "3", "0"]
    assert COMMAND in decided["note"].iloc[3]
    raw = [stats.ttest_rel(BASE + shift + NOISE, BASE) for shift in SHIFTS.values()]
    for i, (shift, test, adjusted) in enumerate(zip(SHIFTS.values(), raw, holm([t.pvalue for t in raw]), strict=True)):
        bounds = test.confidence_interval()
        row = decided.iloc[i]
        assert row["measured_difference"] == f"{(shift + NOISE).mean():.2f}"
        assert (row["ci_low"], row["ci_high"]) == (f"{bounds.low:.2f}", f"{bounds.high:.2f}")
        assert f"p = {adjusted:.2g} (" in row["note"]
        assert "Holm over the 3 of Claim" in row["note"]


@pytest.fixture
def two(run, measured):
    """Two runs whose lead over a third one is significant alone, and not beside another."""
    runs = [run(name, 64, name=name) for name in ("first", "second", "base")]
    difference = np.array([1.0, 1.3, 0.7])
    assert 0.025 < stats.ttest_1samp(difference, 0).pvalue < 0.05
    values = [(entry, "linear_top1", BASE + difference) for entry in runs[:2]]
    return runs, measured(*values, (runs[2], "linear_top1", BASE))


def test_holms_adjustment_can_take_a_verdict_back(cells, two):
    assert orderings(claims_on("first"), cells, *two, {})["verdict"].tolist() == ["supported"]
    assert orderings(claims_on("first", "second"), cells, *two, {})["verdict"].tolist() == ["inconclusive"] * 2


def test_the_orderings_of_one_table_are_adjusted_apart_from_those_of_another(cells, two):
    decided = orderings([*claims_on("first"), *claims_on("second", family="Other")], cells, *two, {})
    assert decided["verdict"].tolist() == ["supported"] * 2
    assert [f"alone in {family}" in note for family, note in zip(("Claim", "Other"), decided["note"], strict=True)] == [
        True
    ] * 2


def test_printed_differences_are_those_of_the_printed_cells(cells, plan, whole_plan, measured):
    decided = orderings(whole_plan.config["orderings"], cells, plan["runs"], measured(), {})
    by_claim = dict(zip(decided["claim"], decided["paper_difference"], strict=True))
    expected = {
        # On CIFAR-100, linear top-1: ARB 68.19 at 256 and 69.57 at 2048, Barlow Twins 57.92 and 69.18, SimCLR 65.39
        "Table1.low_dimension": "10.27",
        "Table1.high_dimension": "0.39",
        "Table1.simclr": "4.18",
        "Table2.d32_half": "4.57",  # 49.95 - 45.38
        "Table2.d1024": "0.47",  # 68.21 - 67.74
        "Table3.collapse_linear": "51.21",
        "Table3.collapse_knn": "70.00",
        "Table4.off_diagonal": "5.30",
        "Table4.l2": "10.36",
        "Table5.d256": "4.21",
        "reference.supervised": "",
    }
    assert {claim: by_claim[claim] for claim in expected} == expected
    assert float(by_claim["Figure6.groups"]) > 0
    assert set(decided["verdict"]) == {"not run"}


def test_a_claim_on_cells_that_are_not_printed_is_refused(cells, plan, measured):
    claim = next(claim for claim in plan["orderings"] if claim["name"] == "Table1.simclr")
    claim["paper"]["right"] = {"method": "SimCLR", "proj_dim": "2048"}
    with pytest.raises(UserError, match=r"Table1\.simclr: 0 cells of Table 1 have .*proj_dim 2048"):
        orderings([claim], cells, plan["runs"], measured(), {})


def test_a_data_set_with_few_runs_has_the_statements_on_them(cells, run, measured, raced):
    runs, metrics = raced
    few = [run("wins", 64, name="wins", dataset="glyphs"), run("base", 64, name="base", dataset="glyphs")]
    more = measured((few[0], "linear_top1", BASE - 5 + NOISE), (few[1], "linear_top1", BASE))
    decided = orderings(claims_on("wins", "loses"), cells, [*runs, *few], pd.concat([metrics, more]), {})
    assert decided[["claim", "dataset", "verdict"]].to_numpy().tolist() == [
        ["Claim.wins", "cifar10", "supported"],
        ["Claim.loses", "cifar10", "contradicted"],
        ["Claim.wins", "glyphs", "contradicted"],
    ]


def test_a_further_data_set_without_snapshots_has_no_statement_on_a_share_of_the_epochs(cells, run, measured):
    runs = [run(name, 64, name=name, dataset=dataset) for dataset in ("cifar10", "glyphs") for name in ("left", "right")]
    claim = {"name": "Figure7.x", "left": "left", "right": "right", "left_share": 0.3, "metric": "linear_top1"}
    assert orderings([claim], cells, runs, measured(), {})["dataset"].tolist() == ["cifar10"]
    sampled = [entry | {"snapshots": 10} for entry in runs]
    assert orderings([claim], cells, sampled, measured(), {})["dataset"].tolist() == ["cifar10", "glyphs"]


def test_a_share_of_the_epochs_is_what_was_measured_then(cells, run, measured):
    runs = [run(name, 64, name=name, epochs=20) for name in ("early", "late")]
    metrics = measured((runs[0], "linear_top1", BASE), (runs[1], "linear_top1", BASE))
    then = metrics[metrics["run"] == "early"].assign(epoch=6, value=lambda rows: rows["value"] + 3)
    claim = {"name": "Figure7.x", "left": "early", "right": "late", "left_share": 0.3, "metric": "linear_top1"}
    decided = orderings([claim], cells, runs, pd.concat([metrics, then]), {})
    assert decided["measured_difference"].tolist() == ["3.00"]
    assert "after 30% of the epochs" in decided["left"].item()


def test_a_run_is_compared_with_itself_in_another_metric(cells, run, measured):
    runs = [run("arb", 256, name="arb_d256")]
    metrics = measured((runs[0], "linear_top1", BASE), (runs[0], "knn5_top1", BASE - 2))
    claim = {"name": "Table3.probe_arb", "left": "arb_d256", "right": "arb_d256", "metric": "linear_top1"}
    claim |= {"right_metric": "knn5_top1", "paper": {"place": "table3", "left": {"method": "ARB"}, "right": {"method": "ARB"}}}
    (decided,) = orderings([claim], cells, runs, metrics, {}).to_dict("records")
    assert (decided["measured_difference"], decided["paper_difference"]) == ("2.00", "-2.91")  # 68.19 - 71.10
    assert decided["note"].startswith("linear_top1 minus knn5_top1; paper: Table 3, CIFAR-100, ARB; ")


def test_what_was_traced_is_compared_over_the_last_tenth(cells, run, measured):
    runs = [run(name, 64, name=name) for name in ("left", "right")]
    steps = pd.DataFrame({"seed": np.repeat([0, 1, 2], 20), "iteration": np.tile(np.arange(20), 3)})
    last = np.where(steps["iteration"] >= 18, 1.0, 50.0)
    traces = {
        ("cifar10", "left"): steps.assign(embedding_std=last + steps["seed"]),
        ("cifar10", "right"): steps.assign(embedding_std=0.5),
    }
    claim = {"name": "Figure3.x", "left": "left", "right": "right", "metric": "embedding_std"}
    decided = orderings([claim], cells, runs, measured(), traces)
    assert decided["measured_difference"].tolist() == ["1.50"]
