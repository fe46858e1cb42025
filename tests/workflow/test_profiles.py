"""The profiles for GPUs and for Slurm: what stands in them, and the workflow run through a Slurm of four small scripts."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

PROFILES = Path(__file__).parents[2] / "workflow/profiles"
# Runs what is submitted at once, and keeps the command and the state
SBATCH = """
import json, os, subprocess, sys
from pathlib import Path

folder = Path(os.environ["SLURM_OF_THE_TEST"])
number = len(list(folder.glob("*.json"))) + 1
(folder / f"{number}.json").write_text(json.dumps(sys.argv[1:]))
(wrapped,) = (option.removeprefix("--wrap=") for option in sys.argv if option.startswith("--wrap="))
with (folder / f"{number}.out").open("w") as output:
    environment = os.environ | {"SLURM_JOB_ID": str(number)}
    ended = subprocess.run(["bash", "-c", wrapped], env=environment, stdout=output, stderr=output)
(folder / f"{number}.state").write_text("FAILED" if ended.returncode else "COMPLETED")
print(number)
"""
SACCT = """
import os
from pathlib import Path

for path in Path(os.environ["SLURM_OF_THE_TEST"]).glob("*.state"):
    print(f"{path.stem}|{path.read_text()}")
"""
SRUN = """
import os, sys

command = sys.argv[1:]
while command[0].startswith("-"):
    command.pop(0)
os.execvp(command[0], command)
"""
QUICK = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10", "--retries", "0")
NOTHING = ""  # of accounts, partitions and settings


def read(name):
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """The folder of a Slurm that runs every job at once."""
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("snakemake-executor-plugin-slurm is not installed; the workflow needs it only on a cluster")
    tools, folder = tmp_path / "bin", tmp_path / "slurm"
    tools.mkdir()
    folder.mkdir()
    scripts = {"sbatch": SBATCH, "sacct": SACCT, "srun": SRUN}
    for name in ("sbatch", "sacct", "srun", "sinfo", "sacctmgr", "scontrol", "sshare"):
        (tools / name).write_text(f"#!{sys.executable}\n{scripts.get(name, NOTHING)}", encoding="utf-8")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_OF_THE_TEST", str(folder))
    return folder


def ask_for_gpus(workflow, count):
    """State the resource in the rule ``train``."""
    rule = workflow.folder / "workflow/rules/train.smk"
    lines = [line for line in rule.read_text(encoding="utf-8").splitlines() if "gpu=" not in line]
    if "    resources:" not in lines:
        lines.insert(lines.index("    params:"), "    resources:")
    lines.insert(lines.index("    resources:") + 1, f"        gpu={count},")
    rule.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", ["gpus", "slurm"])
def test_a_profile_keeps_what_the_default_says(name):
    profile, default = read(name), read("default")
    if name == "gpus":  # two resources to decide between
        del default["scheduler"]
    assert default
    assert {key: profile.get(key) for key in default} == default


@pytest.mark.parametrize("name", ["gpus", "slurm"])
def test_a_profile_says_how_it_is_used(name):
    text = (PROFILES / name / "config.yaml").read_text(encoding="utf-8")
    assert f"snakemake --workflow-profile workflow/profiles/{name} results/table_main.csv" in text


def test_gpus_are_handed_out(clean_copy, tmp_path):
    """Of three jobs that take two of three GPUs each, none runs beside another, for all that there are cores."""
    workflow = clean_copy(tmp_path)
    ask_for_gpus(workflow, 2)
    status, printed = workflow.run(
        *("--workflow-profile", "workflow/profiles/gpus", "--resources", "gpu=3", "--cores", "3"),
        config=("epochs=1", "seeds=1", "methods=arb,random_encoder"),
    )
    assert status == 0, printed
    beside = [line for line in printed.splitlines() if line.startswith("Execute ")]
    assert len(beside) >= 4
    assert set(beside) == {"Execute 1 jobs..."}


def test_jobs_are_submitted_with_what_they_need(clean_copy, slurm, tmp_path):
    workflow = clean_copy(tmp_path)
    ask_for_gpus(workflow, 2)
    profile = ("--workflow-profile", "workflow/profiles/slurm")
    status, printed = workflow.run(*profile, *QUICK, config=("epochs=2", "seeds=3", "methods=random_encoder"))
    assert status == 0, printed
    assert (workflow.results / "table_main.csv").exists()
    submitted = {}
    for path in slurm.glob("*.json"):
        options = json.loads(path.read_text(encoding="utf-8"))
        submitted[options[options.index("--comment") + 1]] = options
    assert len(submitted) == 3
    data = submitted["rule_digits"]
    (train,) = (options for comment, options in submitted.items() if comment.startswith("rule_train"))
    (table,) = (options for comment, options in submitted.items() if comment.startswith("rule_tables"))
    settings = read("slurm")
    for options, resources in (
        (data, settings["default-resources"]),
        (train, settings["default-resources"] | settings["set-resources"]["train"]),
        (table, settings["default-resources"]),
    ):
        assert options[options.index("-t") + 1] == str(resources["runtime"])
        threads = int(next(option for option in options if option.startswith("--cpus-per-task=")).partition("=")[2])
        assert options[options.index("--mem") + 1] == str(eval(str(resources["mem_mb"]), {"threads": threads}))
        assert {"--requeue", "--nodes=1", "--cpus-per-task=1"} <= set(options)
        assert [option for option in options if option.startswith("--gpus")] == (["--gpus=2"] if options is train else [])


def test_an_error_on_the_cluster_is_said_on_the_login_node(clean_copy, slurm, tmp_path):
    workflow = clean_copy(tmp_path)
    (workflow.folder / "fast.yaml").write_text("digits: {training: {learning_rate: 1.0e+30}}", encoding="utf-8")
    profile = ("--workflow-profile", "workflow/profiles/slurm", "--configfile", "fast.yaml")
    status, printed = workflow.run(*profile, *QUICK, config=("epochs=1", "seeds=1", "methods=arb"))
    assert status != 0
    assert "FAILED" in {path.read_text(encoding="utf-8") for path in slurm.glob("*.state")}, printed
    errors = [line for line in printed.splitlines() if line.startswith("error:")]
    assert len(errors) == 2  # of the two runs of ARB
    assert all("choose a smaller learning_rate" in error for error in errors)
