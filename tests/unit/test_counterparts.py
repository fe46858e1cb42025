import json

import numpy as np
import pandas as pd
import pytest

from arb_suite.cells import FIGURES, PLACES, X, printed_cells, printed_file
from arb_suite.counterparts import EVERY, PANELS, counterpart
from arb_suite.jobs import UserError
from arb_suite.measured import read_metrics, read_traces
from arb_suite.plots import draw
from arb_suite.printed import FOLDER
from arb_suite.tables import COLUMNS

COUNTS = {"table2": 24, "table3": 8, "table4": 10, "table5": 16, "fig3": 1568, "fig4": 32, "fig5": 36, "fig6": 36, "fig7": 66}
BASE = np.array([60.0, 65.0, 61.0])


@pytest.fixture(scope="module")
def folder(request):
    return request.config.rootpath / FOLDER


@pytest.fixture
def made(whole_plan, folder, measured):
    """A function that gives a place's table, where every run has the accuracies BASE + its number, and every trace too."""

    def make(place, chosen=lambda name: True, datasets=("digits",)):
        plan = json.loads(whole_plan.counterpart(place))
        runs = plan["runs"]
        series = [
            (run, metric, BASE + i)
            for i, run in enumerate(runs)
            if run["dataset"] in datasets
            for metric in ("linear_top1", "knn5_top1")
            if chosen(run["name"])
        ]
        metrics = measured(*series)
        if place == "fig7":
            metrics = pd.concat([metrics.assign(epoch=epoch, value=metrics["value"] + epoch) for epoch in (0, 2, 20)])
        names = [run["name"] for run in runs if chosen(run["name"])]
        steps = pd.DataFrame({"seed": np.repeat([0, 1, 2], 9), "iteration": np.tile(np.arange(9), 3)})
        traces = {
            ("digits", name): steps.assign(**dict.fromkeys(PANELS, BASE[steps["seed"]])) for name in names if chosen(name)
        }
        return counterpart(place, printed_cells(folder, place), plan["entries"], runs, metrics, traces)

    return make


@pytest.mark.parametrize("place", COUNTS)
def test_every_printed_number_is_there_as_printed_and_says_what_it_needs(made, folder, place):
    table = made(place)
    printed = table[table["dataset"] != "digits"]
    assert len(printed) == COUNTS[place]
    assert printed["paper"].tolist() == [cell["as_printed"] for cell in printed_cells(folder, place)]
    assert set(printed["verdict"]) == {"not run"}
    assert printed["note"].str.contains(f"results/{place}.csv --config data_root=DIR datasets=", regex=False).all()
    assert list(table) == COLUMNS + ([X[place]] if place in X and place != "fig4" else [])


@pytest.mark.parametrize("place", [place for place in COUNTS if place != "fig3"])
def test_every_run_has_its_row_with_mean_and_interval(made, whole_plan, place):
    table = made(place)
    measured = table[table["dataset"] == "digits"]
    entries = whole_plan.config["counterparts"][place]
    times = 2 * (3 if place == "fig7" else 1)
    assert (measured["variant"] != "tuned").sum() == times * len(entries)
    assert (measured["variant"] == "tuned").sum() == times * {"table2": 8, "table3": 2, "fig4": 6, "fig5": 6, "fig7": 3}.get(
        place, 0
    )
    assert set(measured["n_seeds"]) == {"3"}
    assert (measured["ci_low"].astype(float) < measured["measured"].astype(float)).all()
    if place in X:
        assert (measured[X[place]] != "").all()


def test_measured_values_are_those_of_the_run(made, whole_plan):
    table = made("table5")
    names = [run["name"] for run in json.loads(whole_plan.counterpart("table5"))["runs"]]
    linear = table[(table["dataset"] == "digits") & (table["metric"] == "linear_top1")]
    expected = [f"{BASE.mean() + names.index(entry['run']):.2f}" for entry in whole_plan.config["counterparts"]["table5"]]
    assert linear["measured"].tolist() == expected
    assert linear["variant"].tolist() == ["instance", "feature", "instance", "feature"]
    assert linear["proj_dim"].tolist() == ["32", "32", "256", "256"]


def test_what_a_figure_is_drawn_over_is_that_of_the_run(made):
    def drawn(place):
        table = made(place)
        measured = table[(table["dataset"] == "digits") & (table["metric"] == table["metric"].iloc[-1])]
        return list(dict.fromkeys(measured[X[place]]))

    assert drawn("fig4") == ["4", "32", "256", "512"]
    assert drawn("fig5") == ["32", "64", "128"]
    assert drawn("fig6") == ["1", "8", "64"]
    assert drawn("fig7") == ["0", "2", "20"]
    assert drawn("fig3") == [str(i) for i in range(0, 9, EVERY)]


@pytest.mark.parametrize("place", ["table2", "table4", "table5", "fig4", "fig5", "fig6"])
def test_on_the_papers_data_every_top_1_has_its_run_and_a_verdict(made, folder, place):
    table = made(place, datasets=["cifar10", "cifar100", "imagenet100", "imagenet1k"])
    printed = table[(table["dataset"] != "digits") & (table["metric"] == "linear_top1")]
    assert len(printed) > 0
    assert (printed["measured"] != "").all()
    assert set(printed["verdict"]) <= {"higher", "lower", "inconclusive", "reproduced"}
    assert (printed["n_eval"].astype(int) >= 5000).all()


def test_what_was_measured_of_generated_images_is_not_compared(whole_plan, folder, measured):
    plan = json.loads(whole_plan.counterpart("table5"))
    runs = [run | {"generated": True} for run in plan["runs"] if not run["embedded"]]
    metrics = measured(*((run, "linear_top1", BASE) for run in runs))
    table = counterpart("table5", printed_cells(folder, "table5"), [], runs, metrics, {})
    assert set(table.loc[table["measured"] != "", "verdict"]) == {"not comparable"}


def test_what_was_left_out_says_so(whole_plan, folder, measured):
    plan = json.loads(whole_plan.counterpart("table5"))
    runs = [run | {"selected": False} for run in plan["runs"]]
    table = counterpart("table5", printed_cells(folder, "table5"), plan["entries"], runs, measured(), {})
    left_out = table[table["dataset"] == "digits"]
    assert len(left_out) == 4
    assert set(left_out["verdict"]) == {"not run"}
    assert left_out["note"].str.contains("left out").all()


def test_cells_have_the_columns_of_the_tables(folder):
    for place in PLACES:
        cells = printed_cells(folder, place)
        assert printed_file(folder, place).exists()
        columns = {"method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric", "as_printed"}
        assert all(columns | ({X[place]} if place in X else set()) <= set(cell) for cell in cells)


def test_metrics_and_traces_are_read_back(tmp_path):
    metrics, training = tmp_path / "metrics.csv", tmp_path / "training.json"
    metrics.write_text("seed,epoch,metric,value,config_hash,data_hash\n0,2,linear_top1,50.0,abc,def\n", encoding="utf-8")
    step = dict.fromkeys(PANELS, 1.5)
    training.write_text(json.dumps({"seeds": {"0": {"trace": [step, step]}}}), encoding="utf-8")
    run = {"name": "x", "dataset": "digits", "selected": True, "trace": True}
    run |= {"metrics": [str(metrics)], "trainings": [str(training)]}
    assert read_metrics([run]).iloc[0].to_dict() == {
        "dataset": "digits", "run": "x", "seed": 0, "epoch": 2, "metric": "linear_top1", "value": 50.0, "config_hash": "abc",
        "data_hash": "def"
    }  # fmt: skip
    assert read_traces([run])["digits", "x"]["iteration"].tolist() == [0, 1]
    assert read_traces([run | {"trace": False}]) == {}
    assert len(read_metrics([run | {"selected": False}])) == 0


@pytest.mark.parametrize("place", FIGURES)
def test_a_figure_has_the_papers_curves_above_the_measured_ones(made, place):
    table = made(place)
    figure = draw(place, table)
    tuned = (table["variant"] == "tuned").any()
    assert tuned == (place in ("fig4", "fig5", "fig7"))
    above, *below = np.array(figure.axes).reshape(3 if tuned else 2, -1)
    assert "of the paper" in above[0].get_title(loc="left")
    assert ["tuned" in axes[0].get_title(loc="left") for axes in below] == [False, True][: len(below)]
    for axes, column in ((above, "paper"), *((axes, "measured") for axes in below)):
        for axis in axes:
            for line in axis.get_lines():
                drawn = set(np.round(line.get_ydata(), 6))
                assert drawn <= set(table.loc[table[column] != "", column].astype(float).round(6))
    assert all(len(axis.collections) == len(axis.get_lines()) for axes in below for axis in axes)  # a band each
    curves = {"fig3": 2, "fig4": 2, "fig5": 3, "fig6": 2, "fig7": 3}[place]
    assert [len(axis.get_lines()) for axis in figure.axes] == [curves] * len(figure.axes)


WHOLE = "".join(f"{seed},{epoch},linear_top1,5{seed}.25,abc,def\n" for seed in (0, 1) for epoch in (1, 2))


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        (WHOLE, True),
        (WHOLE + WHOLE[-len(WHOLE) // 4 :], False),  # a row twice
        (WHOLE.replace("1,2,linear_top1,51.25,abc,def\n", ""), False),  # its last row lost
        ("".join(WHOLE.splitlines(keepends=True)[:2]), False),  # its last seed lost
        (WHOLE.replace("51.25", "", 1), False),
        (WHOLE[:-6], False),  # cut within a row
        ("", False),
    ],
)
def test_metrics_that_lack_something_are_refused(tmp_path, rows, whole):
    path = tmp_path / "seeds0-1/metrics.csv"
    path.parent.mkdir()
    path.write_text("seed,epoch,metric,value,config_hash,data_hash\n" + rows, encoding="utf-8")
    run = {"name": "x", "dataset": "digits", "selected": True, "metrics": [str(path)]}
    if whole:
        assert len(read_metrics([run])) == 4
    else:
        with pytest.raises(UserError, match=r"seeds0-1/metrics\.csv lacks rows or values; delete its folder"):
            read_metrics([run])
