import csv
import io
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("epochs=2", "seeds=3", "methods=arb,random_encoder")
RUNS = ("arb_d32", "arb_d256", "random_encoder")


def table_of(workflow, name="table_main.csv"):
    return list(csv.DictReader(io.StringIO((workflow.results / name).read_text(encoding="utf-8"))))


# --- the job as it should go ------------------------------------------------------------------------------------------


def test_the_job_ends_with_its_table(finished):
    assert finished.status == 0, finished.printed
    assert "Traceback" not in finished.printed
    table = table_of(finished)
    assert len(table) == 78 + 2 * 16
    assert sum(row["paper"] != "" for row in table) == 78
    measured = [row for row in table if row["measured"]]
    assert {(row["method"], row["proj_dim"]) for row in measured} == {("ARB", "32"), ("ARB", "256"), ("Random encoder", "")}
    for row in measured:
        assert (row["dataset"], row["paper"], row["verdict"]) == ("digits", "", "not comparable")
        assert (row["n_seeds"], row["n_eval"]) == ("3", "500")
        assert row["pretrain_epochs"] == ("0" if row["method"] == "Random encoder" else "2")
        assert 10 < float(row["measured"]) < 100
        assert float(row["ci_low"]) < float(row["measured"]) < float(row["ci_high"])
    decided = {row["claim"] for row in table_of(finished, "orderings_main.csv") if row["verdict"] != "not run"}
    assert decided == {"Table3.probe_arb"}  # the one that compares a run with itself


def test_progress_and_results_are_shown(finished):
    for run in RUNS[:2]:
        assert f"digits/{run}" in finished.printed
    assert "seed 0 (1/3)  epoch   2/2  loss" in finished.printed
    assert "all training 100%" in finished.printed
    assert (finished.results / "table_main.txt").read_text(encoding="utf-8") in finished.printed
    assert (finished.results / "table_main.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_metrics_are_those_of_the_predictions(finished):
    for run in RUNS:
        folder = finished.results / "runs/digits" / run / "seeds0-2"
        rows = list(csv.DictReader((folder / "metrics.csv").open(encoding="utf-8")))
        with np.load(folder / "predictions.npz") as archive:
            predictions = dict(archive)
        assert len(predictions["labels"]) == 1000
        assert len(set(predictions["source"])) == 500
        for metric in ("linear_top1", "knn5_top1"):
            values = {row["seed"]: float(row["value"]) for row in rows if row["metric"] == metric}
            assert set(values) == {"0", "1", "2"}
            for seed, value in values.items():
                assert value == pytest.approx(100 * (predictions[f"{metric}_seed{seed}"] == predictions["labels"]).mean())


def test_the_report_shows_what_was_run_and_says_what_was_not(finished_copy):
    workflow = finished_copy
    workflow.target = "results/report.html"
    asked = ("epochs=2", "seeds=3", "methods=arb,random_encoder", "report=table_main")
    status, printed = workflow.run(config=asked)
    assert status == 0, printed
    page = (workflow.results / "report.html").read_text(encoding="utf-8")
    for run in RUNS:
        (row,) = re.findall(rf'<tr id="run-digits-{run}">.*?</tr>', page, re.DOTALL)
        record = json.loads((workflow.results / f"runs/digits/{run}/seeds0-2/training.json").read_text(encoding="utf-8"))
        assert record["config_hash"][:16] in row
        assert f'href="#run-digits-{run}"' in page
        for link in re.findall('href="([^"#]+)"', row):
            assert (workflow.results / link).is_file()
    assert "snakemake --cores all results/claims.csv" in page
    assert "snakemake --cores all results/fig4.svg" in page
    before = workflow.state()
    status, printed = workflow.run(config=asked)
    assert (status, workflow.state() == before) == (0, True)


def test_every_run_can_be_traced(finished):
    description = json.loads((finished.results / "data/digits.json").read_text(encoding="utf-8"))
    hashes = {row["run"]: row["config_hash"] for row in table_of(finished, "runs.csv")}
    assert set(hashes) == set(RUNS)
    for run in RUNS:
        training = json.loads((finished.results / f"runs/digits/{run}/seeds0-2/training.json").read_text(encoding="utf-8"))
        assert training["config_hash"].startswith(hashes[run])
        assert set(training["seeds"]) == {"0", "1", "2"}
        for record in training["seeds"].values():
            assert len(record["losses"]) == training["settings"]["epochs"]
            assert record["data_hash"] == description["data_hash"]
            assert record["computed_on"] == ["cpu, float32"]
            assert {"platform", "python", "packages", "commit", "wall_seconds"} <= set(record)
        assert (finished.results / f"benchmarks/train/digits/{run}/seeds0-2.tsv").exists()


def test_asked_again_nothing_is_done(finished):
    before = finished.state()
    status, printed = finished.run()
    assert status == 0
    assert "Nothing to be done" in printed
    assert finished.state() == before


def test_a_method_is_added_as_the_readme_says(clean_copy, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## A method of your own")[1].split("\n## ")[0]
    (place,) = re.findall(r"`(workflow/arb_suite/methods/\w+\.py)`", section)
    ((code, entry),) = re.findall(r"```python\n(.*?)```.*?```yaml\n(.*?)```", section, re.DOTALL)
    workflow = clean_copy(tmp_path)
    (workflow.folder / place).write_text(code, encoding="utf-8")
    (workflow.folder / "mine.yaml").write_text(entry, encoding="utf-8")
    options = ("epochs=1", "seeds=1", "methods=dcl")
    status, printed = workflow.run("--configfile", "mine.yaml", config=options)
    assert status == 0, printed
    (row,) = (row for row in table_of(workflow) if row["method"] == "DCL" and row["metric"] == "linear_top1")
    assert 10 < float(row["measured"]) < 100
    assert len([line for line in (code + entry).splitlines() if line]) <= 10


def test_one_changed_setting_concerns_one_run(finished, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("digits: {runs: {arb_d32: {options: {ridge: 0.01}}}}")
    before = finished.state()
    status, printed = finished.run("--dry-run", "--quiet", "host", "--configfile", str(settings))
    assert status == 0
    encoders = [part.strip(", ") for part in printed.split() if part.strip(", ").endswith("encoders.state")]
    assert set(encoders) == {"results/runs/digits/arb_d32/seeds0-2/encoders.state"}
    for rule in ("train", "table_main"):
        assert printed.count(f"rule {rule}:\n") == 1
    assert "rule digits:\n" not in printed
    assert finished.state() == before


# --- interruptions ----------------------------------------------------------------------------------------------------


def test_killed_it_leaves_no_orphan_and_the_same_command_goes_on(clean_copy, finished, tmp_path, patience):
    wait_until, _ = patience
    workflow = clean_copy(tmp_path)
    log = workflow.results / "logs/train/digits/arb_d256/seeds0-2.log"

    def kill_once(condition, what):
        with workflow.start() as (process, _):
            wait_until(condition, what, process)
            assert workflow.jobs() != []
            process.send_signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: workflow.jobs() == [], "no job was left")

    # While the first job still imports its libraries, and while two jobs train
    kill_once(lambda: workflow.jobs() != [], "a job was started")
    assert not (workflow.results / "data/digits.npz").exists()
    kill_once(lambda: log.exists() and "seed 0 (1/3)  epoch   2/2" in log.read_text(), "the first seed was trained")
    # They were ended, not left to finish
    assert not (workflow.results / "runs/digits/arb_d256/seeds0-2/encoders.state").exists()

    status, printed = workflow.run()
    assert status == 0, printed
    assert "seed 0" not in log.read_text()
    assert "seed 2 (3/3)" in log.read_text()
    for name in ("table_main.csv", "table_main.html", "table_main.txt", "orderings_main.csv", "runs.csv", "data/digits.npz"):
        assert (workflow.results / name).read_bytes() == (finished.results / name).read_bytes(), name
    for run in RUNS:
        place = f"runs/digits/{run}/seeds0-2/predictions.npz"
        assert (workflow.results / place).read_bytes() == (finished.results / place).read_bytes(), place


def test_an_interrupt_ends_with_what_to_do(clean_copy, tmp_path, patience):
    wait_until, _ = patience
    workflow = clean_copy(tmp_path)
    log = workflow.results / "logs/train/digits/arb_d256/seeds0-2.log"
    with workflow.start() as (process, output):
        wait_until(lambda: log.exists() and "epoch   2/2" in log.read_text(), "the first seed was trained", process)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does on Ctrl-C
        assert process.wait() != 0
        output.seek(0)
        printed = output.read()
    assert printed.rstrip().splitlines()[-1] == "interrupted; the same command goes on from here"
    assert "Traceback" not in printed


def test_asked_to_end_it_lets_the_running_jobs_end_and_names_no_failure(clean_copy, tmp_path, patience):
    wait_until, _ = patience
    workflow = clean_copy(tmp_path)
    log = workflow.results / "logs/digits.log"
    with workflow.start() as (process, output):
        wait_until(log.exists, "the first job had begun", process)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        output.seek(0)
        printed = output.read()
    assert (workflow.results / "data/digits.npz").exists()
    assert not (workflow.results / "runs").exists()
    assert printed.rstrip().splitlines()[-1] == "interrupted; the same command goes on from here"
    assert "did not complete successfully" not in printed
    assert "Traceback" not in printed


def test_of_two_at_once_the_second_stops(finished_copy, finished, patience):
    wait_until, sentence_of = patience
    for name in ("table_main.csv", "runs/digits/random_encoder/seeds0-2/metrics.csv"):
        (finished_copy.results / name).unlink()
    with finished_copy.start() as (first, _):
        wait_until(lambda: finished_copy.jobs() != [], "it had a job at work", first)
        status, printed = finished_copy.run()
        assert first.poll() is None, "the first was to be still at work; nothing was tested"
        assert status != 0
        assert "another run is at work" in sentence_of(printed)
        assert first.wait() == 0
    name = "table_main.csv"
    assert (finished_copy.results / name).read_bytes() == (finished.results / name).read_bytes()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (["epochs=-1"], ["epochs", "-1", "minimum of 1"]),
        (["methods=nonsense"], ["nonsense", "arb", "simclr"]),
        (["datasets=nonsense"], ["nonsense", "digits", "cifar10"]),
        (["datasets=cifar10", "data_root=/no/such/folder"], ["/no/such/folder"]),
        (["batch_size=5000"], ["batch_size 5000", "2594 training images"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_input_stops_with_one_sentence(finished, patience, config, expected):
    before = finished.state()
    status, printed = finished.run(config=config)
    sentence = patience[1](printed)
    assert status != 0
    assert [part for part in expected if part not in sentence] == []
    assert finished.state() == before


def test_a_bad_settings_file_stops_with_one_sentence(finished, tmp_path, patience):
    settings = tmp_path / "settings.yaml"
    settings.write_text("digits: {runs: {arb_d32: {options: {groups: 3}}}}")
    before = finished.state()
    status, printed = finished.run("--configfile", str(settings))
    sentence = patience[1](printed)
    assert status != 0
    assert [part for part in ("arb_d32", "groups 3", "proj_dim 32", "divisor of 32") if part not in sentence] == []
    assert finished.state() == before


def test_results_that_cannot_be_written_stop_it_with_one_sentence(clean_copy, tmp_path, patience, bound_by_permissions):
    workflow = clean_copy(tmp_path)
    workflow.results.chmod(0o555)
    status, printed = workflow.run(prefix=bound_by_permissions)
    workflow.results.chmod(0o755)
    sentence = patience[1](printed)
    assert status != 0
    assert "results cannot be written" in sentence
    assert list(workflow.results.iterdir()) == []


def test_results_that_are_a_file_stop_it_with_one_sentence(clean_copy, tmp_path, patience):
    workflow = clean_copy(tmp_path)
    workflow.results.rmdir()
    workflow.results.write_text("not a folder")
    status, printed = workflow.run()
    assert status != 0
    assert "results is a file" in patience[1](printed)
    assert workflow.results.read_text() == "not a folder"


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_checkpoints_that_are_no_folder_stop_it_before_any_job(clean_copy, tmp_path, patience, kind):
    workflow = clean_copy(tmp_path)
    place = workflow.results / "checkpoints"
    if kind == "file":
        place.write_text("not a folder")
    else:
        place.symlink_to("nowhere")
    status, printed = workflow.run()
    assert status != 0
    said = {"file": "results/checkpoints is a file", "dangling link": "results/checkpoints is a link to nowhere"}[kind]
    assert said in patience[1](printed)
    assert list(workflow.results.iterdir()) == [place]


def test_damage_is_named_and_finished_runs_stay(finished_copy, patience):
    name = "data/digits.npz"
    damaged = finished_copy.results / name
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])  # newer than what was made from it
    before = finished_copy.state()
    status, printed = finished_copy.run()
    assert status != 0
    assert f"results/{name}" in patience[1](printed)
    assert finished_copy.state() == before


def test_data_without_their_description_are_made_again(clean_copy, finished, tmp_path):
    # As a command leaves them that was killed between the two, or that could itself write no more
    workflow = clean_copy(tmp_path)
    workflow.target = "results/data/digits.json"
    (workflow.results / "data").mkdir()
    (workflow.results / "data/digits.npz").write_bytes(b"of another time")
    status, printed = workflow.run()
    assert status == 0, printed
    for name in ("digits.npz", "digits.json"):
        assert (workflow.results / "data" / name).read_bytes() == (finished.results / "data" / name).read_bytes()


def test_a_table_cut_short_is_named_and_made_again(finished_copy, finished, patience):
    table = finished_copy.results / "table_main.csv"
    whole = table.read_bytes()
    table.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])  # its last row is lost
    status, printed = finished_copy.run()
    assert status != 0
    assert "results/table_main.csv: cut short or changed" in patience[1](printed)
    table.unlink()
    status, printed = finished_copy.run()
    assert status == 0, printed
    assert table.read_bytes() == (finished.results / "table_main.csv").read_bytes()


def test_results_of_another_folder_do_not_pass_for_those_of_these_settings(clean_copy, finished, tmp_path, patience):
    workflow = clean_copy(tmp_path)
    shutil.copytree(finished.results, workflow.results, dirs_exist_ok=True)
    other = ("epochs=1", *SHORT[1:])
    before = workflow.state()
    status, printed = workflow.run(config=other)
    sentence = patience[1](printed)
    assert status != 0
    assert [part for part in ("made in another folder", "results/.made", "--forceall") if part not in sentence] == []
    assert workflow.state() == before
    shutil.rmtree(workflow.results / ".made")
    status, printed = workflow.run("--forceall", config=other)
    assert status == 0, printed
    assert {row["pretrain_epochs"] for row in table_of(workflow) if row["measured"]} == {"0", "1"}


def test_a_file_on_the_way_to_a_log_stops_it_before_any_job(clean_copy, tmp_path, patience):
    workflow = clean_copy(tmp_path)
    place = workflow.results / "logs/train/digits"
    place.parent.mkdir(parents=True)
    place.write_text("not a folder")
    status, printed = workflow.run()
    assert status != 0
    assert "results/logs/train/digits is a file, but it has to be a folder; move it away" in patience[1](printed)
    assert not (workflow.results / "data").exists()
