"""Real runs of the workflow, as a user gives the command, in clean copies of the repository."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
# Three runs in about half a minute: a trained method twice and the untrained encoder
SHORT = ("epochs=2", "seeds=3", "methods=arb,random_encoder")
PATIENCE = 300  # seconds until a test gives up on what it waits for


class Workflow:
    """The workflow in one folder."""

    def __init__(self, folder, target="results/table_main.csv"):
        self.folder = folder
        self.target = target
        self.results = folder / "results"

    def command(self, *arguments, config=SHORT):
        command = [sys.executable, "-m", "snakemake", "--cores", "2", self.target, *arguments]
        return command + (["--config", *config] if config else [])

    @contextlib.contextmanager
    def start(self, *arguments, config=SHORT, prefix=()):
        """Run while the block lasts, or to the end if the block waits for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "ARB_SUITE"))}
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                [*prefix, *self.command(*arguments, config=config)],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,  # as a shell starts it, so that an interrupt can reach its jobs too
            )
            try:
                yield process, output
            finally:
                process.kill()
                process.wait()

    def run(self, *arguments, config=SHORT, prefix=()):
        """Run to the end; return the exit status and what was printed."""
        with self.start(*arguments, config=config, prefix=prefix) as (process, output):
            process.wait(timeout=PATIENCE)
            output.seek(0)
            return process.returncode, output.read()

    def jobs(self):
        """The processes of jobs that are alive in this folder."""
        alive = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder) and process.cmdline()[1:3] == ["-m", "arb_suite"]:
                    alive.append(process)
            except psutil.Error:
                continue
        return alive

    def state(self, below="results"):
        """Time and content of every file."""
        files = sorted(path for path in (self.folder / below).rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def wait_until(condition, what, running=None):
    """Poll, as long as a process runs; the limit is there to fail instead of waiting for ever."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert running is None or running.poll() is None, f"the command ended before {what}"
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def sentence_of(printed):
    """The one sentence with which a command stopped."""
    sentences = {line for line in printed.splitlines() if line.startswith("error:")}
    assert len(sentences) == 1, printed
    assert "Traceback" not in printed
    return sentences.pop()


@pytest.fixture(scope="session")
def patience():
    """How to wait for something and how to read why a command stopped."""
    return wait_until, sentence_of


@pytest.fixture(scope="session")
def clean_copy():
    """A function that copies what the workflow needs, without any result."""

    def copy(folder):
        folder = folder.resolve() / "clone"
        for name in ("workflow", "arb_core", "proofs_checks"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "Snakefile", folder)
        (folder / "profiles").symlink_to("workflow/profiles")
        (folder / "results").mkdir()
        return Workflow(folder)

    return copy


@pytest.fixture(scope="session")
def finished(clean_copy, tmp_path_factory):
    """A folder where the short job has been run, once for all tests; they leave it as it is."""
    workflow = clean_copy(tmp_path_factory.mktemp("finished"))
    workflow.status, workflow.printed = workflow.run()
    return workflow


@pytest.fixture
def finished_copy(finished, tmp_path):
    """A copy of that folder, for a test to change."""
    folder = tmp_path.resolve() / "clone"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Workflow(folder)


@pytest.fixture(scope="session")
def bound_by_permissions():
    """What to put before a command so that the permissions of files bind it: nothing, unless the tests run as root."""
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode != 0:
        pytest.skip("runs as root, whom permissions do not bind, and setpriv cannot change that")
    return prefix
