"""The tables of the audit: every printed accuracy is there, with what the other modules find about it."""

import json

import pandas as pd
import pytest

from arb_suite.audit.attainable import is_attainable
from arb_suite.audit.claims import decide
from arb_suite.audit.provenance import with_published
from arb_suite.audit.rankings import ranked_pairs
from arb_suite.audit.sampling import wilson_interval
from arb_suite.audit.tables import (
    RANKING_CLAIMS,
    cells_table,
    places_table,
    published_table,
    rankings_table,
    redecided_table,
    settings_table,
    sizes_table,
)


@pytest.fixture(scope="module")
def cells(paper):
    return cells_table(paper)


def test_every_printed_accuracy_has_a_row(paper, cells):
    counts = cells["place"].value_counts(sort=False).to_dict()
    tables = {f"Table {k}": sum(row["table"] == f"table{k}" for row in paper.tables) for k in range(1, 6)}
    figures = {f"Fig. {k}": len(getattr(paper, f"fig{k}")) for k in range(4, 8)}
    release = {"README of the release": len(paper.release_readme), "log of the release": 2 * len(paper.release_eval_log)}
    assert counts == {**tables, **figures, **release}
    assert sum(tables.values()) == 136
    assert list(cells["as_printed"][:136]) == [row["as_printed"] for row in paper.tables]
    assert not cells.isna().any().any()


def test_cells_have_attainability_and_interval(cells):
    for row in cells.to_dict("records"):
        n = int(row["n_eval"])
        assert (row["attainable"] == "yes") is is_attainable(row["as_printed"], n)
        low, high = wilson_interval(float(row["as_printed"]), n)
        assert (row["ci_low"], row["ci_high"]) == (f"{low:.2f}", f"{high:.2f}")
        assert float(row["nearest_below"]) - 1e-3 <= float(row["as_printed"]) <= float(row["nearest_above"]) + 1e-3
    assert set(cells.loc[cells["place"].str.startswith("Fig. 4"), "attainable"]) == {"no"}
    assert set(cells.loc[cells["dataset"] == "CIFAR-10", "attainable"]) == {"yes"}


def test_only_baselines_of_table_1_have_a_source(cells):
    baselines = (cells["place"] == "Table 1") & (cells["method"] != "ARB")
    assert baselines.sum() == 66
    assert (cells.loc[baselines, "source"] != "").all()
    assert (cells.loc[~baselines, "source"] == "").all()


def test_cells_of_arb_say_where_else_they_stand(cells):
    arb = cells[(cells["place"] == "Table 1") & (cells["method"] == "ARB") & (cells["dataset"] == "CIFAR-100")]
    (wide,) = arb.loc[(arb["proj_dim"] == "2048") & (arb["metric"] == "linear_top1"), "also_printed_in"]
    for place in ("Table 5, feature level", "README of the release", "Fig. 6, acc1, group_shuffle, 8 groups"):
        assert place in wide


def test_sizes_are_explained_or_not(paper):
    table = sizes_table(paper).set_index(["series", "dataset", "reading"])
    log = table.loc[("log of the release", "ImageNet-1k", "rounded")]
    assert (log["n"], log["next_n"], log["explained"]) == (25000, "50000", 68)
    assert log["fit"] == "no coincidence, and not the nominal size"
    assert table.loc[("Fig. 4", "ImageNet-100", "cut off"), "n"] == 2522
    assert log["attainable_over_every_second"] == 80
    assert (table["attainable_over_every_second"] <= table["accuracies"]).all()
    # Accuracies of two decimals cannot tell n from chance where n images give most of them.
    assert set(table.xs("Fig. 7", level="series")["fit"]) == {"chance gives as good a fit"}


def test_places_that_must_be_equal_and_those_that_must_differ(paper):
    table = places_table(paper)
    equal = table[table["relation"] == "must be equal"]
    assert len(equal) == 54
    assert (equal["as_it_must"] == "yes").all()
    assert (table.loc[table["relation"] == "must differ", "as_it_must"] == "no").sum() == 18
    assert (table["second_printed"].astype(float) - table["first_printed"].astype(float)).round(4).tolist() == [
        float(difference) for difference in table["difference"]
    ]


def test_rankings_have_every_comparison_and_those_with_baselines_twice(paper):
    table = rankings_table(paper)
    counts = table.groupby(["baselines", "claim"], sort=False).size()
    assert counts["as printed"].sum() == 590
    assert counts["as published"].to_dict() == {"P1": 3, "P2": 6, "P17": 42, "Table 1": 468}
    for row in table.to_dict("records"):
        assert float(row["difference"]) == pytest.approx(float(row["left_printed"]) - float(row["right_printed"]))
        assert (row["survives"] == "no lead") == (float(row["difference"]) <= 0)
        assert row["exceeds_unpaired"] in ("yes", "no")
        if row["survives"] in ("never", "no lead"):
            assert row["exceeds_unpaired"] == "no"
    twins = table[(table["claim"] == "P17") & (table["right"] == "Barlow Twins (d = 2048)") & (table["dataset"] == "CIFAR-100")]
    assert twins["right_printed"].tolist() == ["69.18", "91.19", "70.90", "91.91"]


def test_claims_that_rank_are_decided_again_with_published_numbers(paper):
    table = redecided_table(paper)
    assert list(table["claim"].unique()) == list(RANKING_CLAIMS)
    assert set(table.groupby("claim").size()) == {3}
    for row in table.to_dict("records"):
        then = decide(with_published(paper, row["published"]), row["claim"])
        assert row["verdict_with_published"] == then.verdict
        assert row["verdict_as_printed"] == decide(paper, row["claim"]).verdict
    unchanged = table[table["evidence_with_published"] == "the same as printed"]
    assert (unchanged["verdict_as_printed"] == unchanged["verdict_with_published"]).all()
    assert set(table["claim"]) - set(unchanged["claim"]) == {"P2", "P5", "P15", "P17"}


def test_a_claim_that_ranks_is_decided_by_ranking(paper):
    with_pairs = {claim for claim in (pair.claim for pair in ranked_pairs(paper)) if claim.startswith("P")}
    assert with_pairs == set(RANKING_CLAIMS) - {"P15"}  # bold marks the best of a column, not one of two


def test_best_rows_with_published_numbers(paper):
    table = published_table(paper)
    assert len(table) == 12
    changed = table[table["same_method"] == "no"]
    symmetric = changed[changed["rows"] == "symmetric"]
    assert list(zip(symmetric["dataset"], symmetric["metric"], symmetric["with_published"], strict=True)) == [
        ("CIFAR-100", "linear_top1", "70.90"),
        ("CIFAR-100", "linear_top5", "91.91"),
        ("ImageNet-100", "linear_top1", "80.38"),
    ]


def test_settings_are_those_of_the_suite(paper, plan_settings):
    table = settings_table(paper, plan_settings)
    assert {f"R{k}" for k in range(1, 12)} == set(table["id"])
    rate = table[(table["setting"] == "learning rate of weights") & (table["data"] == "CIFAR")]
    assert rate["suite"].item() == str(plan_settings["learning_rate"])
    assert not table["suite"].str.contains("{", regex=False).any()
    other = settings_table(paper, {**plan_settings, "learning_rate": 0.123})
    assert (other["suite"] != table["suite"]).sum() == 1


@pytest.fixture
def plan_settings(whole_plan):
    """The settings of the suite's ARB, as the job receives them."""
    return json.loads(whole_plan.audit())


def test_tables_are_the_same_each_time(paper):
    for make in (cells_table, sizes_table, rankings_table, places_table, published_table, redecided_table):
        pd.testing.assert_frame_equal(make(paper), make(paper))
