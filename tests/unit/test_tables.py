import csv
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from arb_suite.jobs import UserError
from arb_suite.tables import main_table, read_cells

ROOT = Path(__file__).parents[2]
PRINTED = ROOT / "workflow/paper/tables.csv"
# The agreed interface (the design page of the project)
COLUMNS = "method,variant,proj_dim,dataset,pretrain_epochs,metric,paper,measured,ci_low,ci_high,n_seeds,n_eval,verdict,note"
ORDERING_COLUMNS = "claim,dataset,left,right,paper_difference,measured_difference,ci_low,ci_high,n_seeds,verdict,note"
VERDICTS = {"reproduced", "higher", "lower", "inconclusive", "not comparable", "not run"}
COMMAND = "snakemake --cores all results/table_main.csv"


@pytest.fixture(scope="module")
def cells():
    """The rows of Table 1, read without pandas."""
    with PRINTED.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["table"] == "table1"]


def cell_of(table, **identity):
    found = table[np.all([table[key] == value for key, value in identity.items()], axis=0)]
    assert len(found) == 1
    return found.iloc[0]


# --- the main table ---------------------------------------------------------------------------------------------------


def test_every_printed_cell_is_there_as_printed(printed, plan, measured, cells):
    table = main_table(printed, plan["runs"], measured())
    found = table[table["paper"] != ""]
    assert len(cells) == len(found) == 78
    assert found["paper"].tolist() == [cell["as_printed"] for cell in cells]
    for column in ("method", "variant", "proj_dim", "dataset", "pretrain_epochs", "metric"):
        assert found[column].tolist() == [cell[column] for cell in cells]


def test_the_digits_of_a_printed_number_stay(printed, plan, measured):
    rounded = printed.assign(as_printed=printed["as_printed"].where(printed["method"] != "ARB", "91.80"))
    table = main_table(rounded, plan["runs"], measured())
    assert table.loc[(table["method"] == "ARB") & (table["paper"] != ""), "paper"].tolist() == ["91.80"] * 12


def test_rows_of_the_embedded_data(printed, plan, measured, cells):
    table = main_table(printed, plan["runs"], measured())
    embedded = table[table["dataset"] == "digits"]
    methods = list(dict.fromkeys((cell["method"], cell["proj_dim"]) for cell in cells))
    references = ["Direct alignment", "Random encoder", "Supervised"]
    assert len(methods) == 13
    ours = [m for m, _ in methods for _ in range(2)] + [m for m in references for _ in range(2)]
    assert embedded["method"].tolist()[:32] == ours  # a user's runs come behind
    assert embedded["metric"].tolist()[:32] == ["linear_top1", "knn5_top1"] * 16
    assert set(embedded["paper"]) == {""}
    assert len(table) == 78 + len(embedded)


def test_columns_and_verdicts_are_the_agreed_ones(printed, plan, measured):
    values = [(entry, "linear_top1", [80.0, 81.0, 82.0]) for entry in plan["runs"] if entry["selected"]]
    table = main_table(printed, plan["runs"], measured(*values))
    assert ",".join(table.columns) == COLUMNS
    assert set(table["verdict"]) == {"not comparable", "not run"}
    assert all(isinstance(value, str) for value in table.to_numpy().ravel())
    assert (table["note"] != "").all()


def test_what_was_not_run_says_how_to_run_it(printed, plan, measured):
    table = main_table(printed, plan["runs"], measured())
    assert set(table["verdict"]) == {"not run"}
    assert set(table["n_seeds"]) == {"0"}
    assert set(table["measured"]) == {""}
    short = {"CIFAR-10": "cifar10", "CIFAR-100": "cifar100", "ImageNet-100": "imagenet100"}
    for row in table[table["paper"] != ""].to_dict("records"):
        assert re.search(rf"{COMMAND} --config data_root=DIR datasets={short[row['dataset']]}$", row["note"])
    configured = {entry["label"] for entry in plan["runs"]}
    for row in table[(table["paper"] == "") & table["method"].isin(configured)].to_dict("records"):
        assert row["note"].endswith(COMMAND)
    assert table.loc[(table["paper"] == "") & (table["method"] == "ARB"), "proj_dim"].tolist() == ["32", "32", "256", "256"]


def test_measured_cells_get_each_verdict(printed, run, measured):
    # Printed on CIFAR-10, linear top-1: ARB 91.81, Barlow Twins 87.39, SimCLR 90.74, VICReg 90.07, BYOL 92.61
    runs = [run("ARB", 256), run("Barlow Twins", 256), run("SimCLR", 256), run("VICReg", 2048), run("BYOL", 4096)]
    values = [[91.7, 91.8, 91.9], [90.0, 90.1, 90.0], [85.0, 85.1, 85.2], [88.0, 90.0, 92.0], [92.61, 92.61]]
    metrics = measured(*((entry, "linear_top1", series) for entry, series in zip(runs, values, strict=True)))
    table = main_table(printed, runs, metrics)
    verdicts = ["reproduced", "higher", "lower", "inconclusive", "inconclusive"]
    for entry, series, verdict in zip(runs, values, verdicts, strict=True):
        place = {"method": entry["label"], "proj_dim": str(entry["paper_dim"]), "dataset": "CIFAR-10"}
        row = cell_of(table, **place, metric="linear_top1")
        half = stats.t.ppf(0.975, len(series) - 1) * stats.sem(series)
        assert row["verdict"] == verdict
        assert row["measured"] == f"{np.mean(series):.2f}"
        assert (row["ci_low"], row["ci_high"]) == (f"{np.mean(series) - half:.2f}", f"{np.mean(series) + half:.2f}")
        assert (row["n_seeds"], row["n_eval"], row["pretrain_epochs"]) == (str(len(series)), "10000", "1000")
        assert row["note"] == "the protocol"
        assert cell_of(table, **place, metric="linear_top5")["verdict"] == "not run"
    assert set(table["verdict"]) <= VERDICTS
    assert (table["measured"] != "").sum() == 5


def test_measured_rows_of_the_embedded_data(printed, plan, measured):
    arb = next(entry for entry in plan["runs"] if entry["name"] == "arb_d32")
    metrics = measured((arb, "linear_top1", [86.0, 87.0, 88.0]), (arb, "effective_rank_embeddings", [20.0, 21.0, 22.5]))
    row = cell_of(main_table(printed, plan["runs"], metrics), method="ARB", proj_dim="32", metric="linear_top1")
    assert (row["measured"], row["ci_low"], row["ci_high"]) == ("87.00", "84.52", "89.48")  # 4.3027 / sqrt(3) = 2.484
    assert (row["verdict"], row["paper"], row["n_seeds"], row["n_eval"]) == ("not comparable", "", "3", "500")
    assert "effective rank of the embeddings 21.2 of 32" in row["note"]
    assert "500 test digits of 2 renders each" in row["note"]


def test_one_seed_has_no_interval(printed, run, measured):
    entry = run("ARB", 256)
    table = main_table(printed, [entry], measured((entry, "linear_top1", [91.81])))
    row = cell_of(table, method="ARB", proj_dim="256", dataset="CIFAR-10", metric="linear_top1")
    assert (row["measured"], row["ci_low"], row["ci_high"], row["verdict"]) == ("91.81", "", "", "inconclusive")


def test_a_run_that_stands_for_no_row_of_table_1_is_a_row_of_its_own(printed, plan, measured):
    added = plan["runs"][0] | {"name": "arb_groups", "label": "ARB in 8 groups", "paper_dim": None}
    metrics = measured((added, "linear_top1", [80.0, 81.0, 82.0]))
    table = main_table(printed, [*plan["runs"], added], metrics)
    row = table[(table["method"] == "ARB in 8 groups") & (table["metric"] == "linear_top1")]
    assert row[["dataset", "measured", "verdict"]].to_numpy().tolist() == [["digits", "81.00", "not comparable"]]


def test_what_table_1_does_not_print_of_the_papers_data_follows_it(printed, run, measured):
    arb, own = run("ARB", 256), run("ARB in 8 groups", None, proj_dim=512)
    tiny = run("ARB", 2048, dataset="imagenet1k")  # Table 1 has no such data set
    left_out = run("SimCLR", 256, selected=False)
    metrics = ("linear_top1", "linear_top5", "knn5_top1", "knn5_top5")
    values = [(entry, metric, [80.0, 81.0, 82.0]) for entry in (arb, own, tiny) for metric in metrics]
    table = main_table(printed, [arb, own, tiny, left_out], measured(*values))
    rows = table[(table["paper"] == "") & (table["dataset"] != "digits")]
    three = ["linear_top1", "linear_top5", "knn5_top1"]
    assert rows[["method", "proj_dim", "dataset", "metric"]].to_numpy().tolist() == [
        ["ARB", "256", "CIFAR-10", "knn5_top1"],
        *(["ARB in 8 groups", "512", "CIFAR-10", metric] for metric in three),
        *(["ARB", "2048", "ImageNet-1k", metric] for metric in three),
    ]
    assert set(rows["measured"]) == {"81.00"}
    assert set(rows["verdict"]) == {"not comparable"}
    assert rows["note"].str.startswith("the paper's table has no such number").all()


def test_the_remark_of_a_run_is_in_its_note(printed, run, measured):
    entry = run("ARB", 256, remark="not tuned")
    table = main_table(printed, [entry], measured((entry, "linear_top1", [91.7, 91.8, 91.9])))
    assert cell_of(table, verdict="reproduced")["note"] == "the protocol; not tuned"


def test_printed_tables_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv cannot be read"):
        read_cells(tmp_path / "none.csv")
    (tmp_path / "tables.csv").write_text("table,method\ntable1,ARB\n")
    with pytest.raises(UserError, match="no column as_printed, dataset, metric"):
        read_cells(tmp_path / "tables.csv")
