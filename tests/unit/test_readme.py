"""The README shows what was measured, and its example runs."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from proofs_checks.ledger import read_ledger

from arb_suite.audit import cli
from arb_suite.audit.claims import claims_table, verdict_list
from arb_suite.page import render_summary, render_text, render_tuned
from arb_suite.report.claims import summary
from arb_suite.report.tables import effective_ranks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "results/reference"


def test_table_of_the_readme_is_the_reference_measurement(monkeypatch):
    monkeypatch.chdir(ROOT)
    table, orderings = (
        pd.read_csv(REFERENCE / name, dtype=str, keep_default_na=False) for name in ("table_main.csv", "orderings_main.csv")
    )
    shown = re.search(r"<!-- generated from results/reference.*?```text\n(.*?)```\n<!-- end -->", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == render_text(table, orderings)


def test_orderings_and_tuned_settings_of_the_readme_are_the_reference_measurement():
    orderings, table, trials = (
        pd.read_csv(REFERENCE / name, dtype=str, keep_default_na=False)
        for name in ("orderings.csv", "table_tuned.csv", "tuning.csv")
    )
    for name, text in (("orderings", render_summary(orderings)), ("tuned", render_tuned(table, trials))):
        shown = re.search(rf"<!-- {name}: generated.*?-->\n```text\n(.*?)```\n<!-- end of {name} -->", README, re.DOTALL)
        assert shown is not None
        assert shown[1] == text


def test_verdicts_of_the_readme_are_those_that_are_computed(paper):
    """Those of the theory are compared with the reference in proofs_checks/test_ledger.py."""
    reference = pd.read_csv(REFERENCE / "claims.csv", dtype=str, keep_default_na=False)
    theory = [entry["id"] for entry in read_ledger()]
    numbers = reference.iloc[len(theory) :].reset_index(drop=True)
    assert list(reference["id"][: len(theory)]) == theory
    pd.testing.assert_frame_equal(numbers, claims_table(paper))
    for name, claims in (("theory", reference.iloc[: len(theory)]), ("claims", numbers)):
        shown = re.search(rf"<!-- {name}: generated.*?-->\n(.*?)<!-- end of {name} -->", README, re.DOTALL)
        assert shown is not None
        assert shown[1] == verdict_list(claims)


def test_what_was_found_stands_first_as_it_was_decided():
    claims, orderings = (
        pd.read_csv(REFERENCE / name, dtype=str, keep_default_na=False) for name in ("claims.csv", "orderings.csv")
    )
    outline = yaml.safe_load((ROOT / "workflow/report/report.yaml").read_text(encoding="utf-8"))
    shown = re.search(r"<!-- found: generated.*?-->\n(.*?)<!-- end of found -->", README, re.DOTALL)
    assert shown is not None
    ranks = effective_ranks(
        pd.read_csv(REFERENCE / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("table_main", "table_tuned", "table_glyphs")
    )
    assert shown[1] == summary(claims, orderings, ranks, outline)
    assert README.index(shown[1]) < README.index("## ")


def test_example_of_the_audit_prints_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```text\n( +method.*?)```", README, re.DOTALL)
    (text,) = re.findall(r"^printf '(.*)' > mine.csv$", README, re.MULTILINE)
    Path("mine.csv").write_text(text.replace("\\n", "\n"), encoding="utf-8")
    assert cli.main(["mine.csv"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in printed if line.strip()] == example.splitlines()


def test_trials_of_the_readme_are_those_on_record():
    trials = pd.read_csv(REFERENCE / "pilot.csv", dtype=str, keep_default_na=False)
    trials = trials[trials["setting"] == "as configured"].set_index(["run", "epochs"])
    shown = re.findall(r"^\| (\w+) \| ([\d.]+) / ([\d.]+) \| ([\d.]+) / ([\d.]+) \|$", README, re.MULTILINE)
    assert {run for run, *_ in shown} == {run for run, epochs in trials.index if epochs == "100"}
    for run, *values in shown:
        assert values == [
            trials.loc[(run, epochs), metric] for epochs in ("20", "100") for metric in ("linear_top1", "knn5_top1")
        ]


def test_every_trial_is_on_record_once():
    trials = pd.read_csv(REFERENCE / "pilot.csv", dtype=str, keep_default_na=False)
    assert not trials.duplicated(["run", "setting", "epochs", "seed"]).any()
    assert not trials.duplicated([name for name in trials if name != "setting"]).any()


def test_python_example_of_the_readme_runs():
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "arb_core" in code]
    names: dict = {}
    exec(example, names)
    assert names["loss"].ndim == 0
    gram = names["base"].T @ names["base"]
    assert gram.diagonal().sub(1).abs().max() < 1e-5


@pytest.mark.parametrize("place", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_of_the_readme_lead_somewhere(place):
    assert (ROOT / place).exists()
