"""A job in two and three processes: real ones that talk by gloo, started by a launcher or as copies of a job's command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch import distributed, nn

from arb_suite import __main__ as jobs_main
from arb_suite.copies import Copies
from arb_suite.jobs import SENTENCES, UserError, job_parser, run_job
from arb_suite.processes import anywhere, average_gradients, barrier, joined, rank, share, world_size
from arb_suite.progress import COUNT_FILE

WORLDS = (2, 3)
PATIENCE = 120  # seconds until a test gives up on what it waits for
BATCH = 12


def parameters(own):
    """Parameters of two dtypes with gradients that differ between the processes; of the last two, not all or none has one."""
    values = [torch.zeros(2, 3), torch.zeros(5, dtype=torch.float64), torch.zeros(4), torch.zeros(2), torch.zeros(3)]
    made = [nn.Parameter(value, requires_grad=i != 2) for i, value in enumerate(values)]
    made[0].grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(own))
    made[1].grad = torch.full((5,), float(own), dtype=torch.float64)
    if own == 1:
        made[3].grad = torch.ones(2)
    return made


def attempt_share(n):
    try:
        share(torch.arange(n))
    except UserError as error:
        return str(error)
    return None


def measure():
    """What the helpers give in this process."""
    own = parameters(rank())
    average_gradients(own)
    results = {
        "rank": rank(),
        "world": world_size(),
        "share": share(torch.arange(BATCH)),
        "refused": [attempt_share(n) for n in (7, 1)],
        "gradients": [parameter.grad for parameter in own],
        "anywhere": [anywhere(rank() == 1), anywhere(False), anywhere(True)],
    }
    barrier()
    return results


def launched(own, world, folder):
    """A process of a launcher."""
    os.environ |= {"RANK": str(own), "LOCAL_RANK": str(own), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": (folder.parent / "port").read_text(encoding="utf-8")}
    with joined(world, "cpu", folder / "log", print):
        torch.save(measure(), folder / f"rank{own}.pt")
    assert not distributed.is_initialized()


# --- a job that does one thing or another -----------------------------------------------------------------------------


def add_up(failing):
    """Wait for each other, and in the end for the one that has failed."""
    for step in range(3):
        total = torch.ones(1)
        if step == 2 and rank() == failing:
            return
        distributed.all_reduce(total)
    assert total == world_size()


def probe(options, report):
    """The work of the job ``probe``; it says, and saves, what happens in it."""
    folder = options.folder
    (folder / f"pid{os.environ.get('RANK', 0)}").write_text(str(os.getpid()), encoding="utf-8")
    with joined(options.count, "cpu", options.log, report) as device:
        own, last = rank(), world_size() - 1
        report(f"rank {own} on {device}")
        if options.do == "measure":
            assert (own == 0) == (COUNT_FILE in os.environ) == (SENTENCES in os.environ)
            torch.save(measure(), folder / f"rank{own}.pt")
            if own > 0:
                return  # rank 0 goes on alone
            while not all((folder / f"rank{other}.pt").exists() for other in range(options.count)):
                time.sleep(0.01)
        elif options.do == "all refuse":
            raise UserError("the batch is of no use; choose another")
        elif options.do == "copy refuses":
            add_up(failing=last)
            raise UserError(f"rank {own} has no image; give it one")
        elif options.do == "copy breaks":
            add_up(failing=last)
            raise LookupError(f"no such key in {own}")
        elif options.do == "copy is killed":
            add_up(failing=last)
            os.kill(os.getpid(), signal.SIGKILL)
        elif options.do == "rank 0 breaks":
            add_up(failing=0)
            raise LookupError(f"no such key in {own}")
        elif options.do == "rank 0 does not notice":
            if own == last:
                raise UserError("the last one has no image; give it one")
            (folder / f"waits{own}").touch()
            time.sleep(10 * PATIENCE)
        elif options.do == "wait":
            barrier()
            (folder / f"waits{own}").touch()
            time.sleep(10 * PATIENCE)
    report(f"rank {own} is done")


def main():
    """The main function of the job, as every job module has one."""
    parser = job_parser("Try processes.")
    parser.add_argument("--count", type=int)
    parser.add_argument("--do")
    parser.add_argument("--folder", type=Path)
    run_job(probe, parser)


class Job:
    """The job ``probe`` as a process of its own, and its copies."""

    def __init__(self, folder, do, count):
        self.folder, self.count = folder, count
        command = [sys.executable, __file__, "probe", "--count", str(count), "--do", do, "--folder", str(folder)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            SENTENCES: str(folder / "sentences"),
            COUNT_FILE: str(folder / "count"),
        }
        for variable in ("ARB_SUITE_PARENT", "WORLD_SIZE", "RANK"):
            environment.pop(variable, None)
        self.process = subprocess.Popen(
            [*command, "--log", str(folder / "log")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            # Who starts the tests in the background of a shell has them ignore Ctrl-C, and all that they start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def end(self):
        self.printed = self.process.communicate(timeout=PATIENCE)[1]
        self.status = self.process.returncode
        return self

    def pids(self):
        return [int((self.folder / f"pid{own}").read_text(encoding="utf-8")) for own in range(self.count)]

    def sentences(self):
        return (self.folder / "sentences").read_text(encoding="utf-8").splitlines()

    def errors(self):
        return [line for line in self.printed.splitlines() if line.startswith("error:")]


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(pids):
    """No such process, or one that has ended and is not yet taken notice of."""
    return all(not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)


@pytest.fixture
def job(tmp_path):
    """A function that starts a job."""
    started = []

    def start(do, count):
        started.append(Job(tmp_path, do, count))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


# --- what the helpers give --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[(how, world) for how in ("launched", "copies") for world in WORLDS], ids=str)
def results(request, run_processes, tmp_path_factory):
    """What each process measured, and how many there were."""
    how, world = request.param
    if how == "launched":
        store = distributed.TCPStore("127.0.0.1", 0, is_master=True)  # a free port; each rank 0 listens there in turn
        port = store.port
        del store
        (tmp_path_factory.getbasetemp() / "port").write_text(str(port), encoding="utf-8")
        return run_processes(__file__, world)
    folder = tmp_path_factory.mktemp("copies")
    ended = Job(folder, "measure", world).end()
    assert ended.status == 0, ended.printed
    assert ended.printed.splitlines() == ["rank 0 on cpu", "rank 0 is done"]
    assert (folder / "log").read_text(encoding="utf-8").splitlines() == ["rank 0 on cpu", "rank 0 is done"]
    for own in range(1, world):
        assert (folder / f"log.rank{own}").read_text(encoding="utf-8").splitlines() == [f"rank {own} on cpu"]
    assert gone(ended.pids())
    return [torch.load(folder / f"rank{own}.pt") for own in range(world)]


def test_every_process_has_a_rank(results):
    assert [(result["rank"], result["world"]) for result in results] == [(own, len(results)) for own in range(len(results))]


def test_the_shares_in_turn_are_the_batch(results):
    shares = [result["share"] for result in results]
    assert {len(each) for each in shares} == {BATCH // len(results)}
    assert torch.equal(torch.cat(shares), torch.arange(BATCH))


def test_a_batch_that_cannot_be_shared_equally_is_refused_with_the_sizes_that_can(results):
    world = len(results)
    expected = {2: ("6 or 8", "2"), 3: ("6 or 9", "3")}[world]
    for result in results:
        assert result["refused"] == [
            f"batch_size {n} cannot be shared equally by {world} processes; choose a multiple, such as {sizes}"
            for n, sizes in zip((7, 1), expected, strict=True)
        ]


def test_gradients_become_their_mean_and_the_same_bytes_everywhere(results):
    world = len(results)
    each = [parameters(own) for own in range(world)]
    expected = [torch.stack([made[i].grad for made in each]).mean(dim=0) for i in (0, 1)]
    for result in results:
        torch.testing.assert_close(result["gradients"][:2], expected, rtol=1e-6, atol=1e-7)
        assert torch.equal(result["gradients"][0], results[0]["gradients"][0])


def test_a_gradient_that_only_one_process_has_counts_and_one_that_none_has_stays_none(results):
    for result in results:
        assert torch.equal(result["gradients"][3], torch.ones(2) / len(results))
        assert result["gradients"][2] is None
        assert result["gradients"][4] is None


def test_what_is_true_in_one_process_is_known_in_all(results):
    assert all(result["anywhere"] == [True, False, True] for result in results)


def test_with_one_process_nothing_is_changed(tmp_path, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(1, "cpu", tmp_path / "log", print) as device:
        assert device == torch.device("cpu")
        assert not distributed.is_initialized()
        own = parameters(1)
        before = [parameter.grad for parameter in own]
        average_gradients(own)
        assert all(parameter.grad is gradient for parameter, gradient in zip(own, before, strict=True))
        batch = torch.arange(7)
        assert torch.equal(share(batch), batch)
        assert (rank(), world_size(), anywhere(True), anywhere(False)) == (0, 1, True, False)
        barrier()


def test_another_number_of_processes_than_launched_is_refused(tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "3", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    for count in (1, 2):
        with pytest.raises(UserError, match=rf"WORLD_SIZE is 3, but the settings ask for {count} process"):
            joined(count, "cpu", tmp_path / "log", print).__enter__()
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("MASTER_PORT")
    with pytest.raises(UserError, match="WORLD_SIZE is set, but RANK, MASTER_PORT not"):
        joined(3, "cpu", tmp_path / "log", print).__enter__()


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_what_all_processes_refuse_is_said_once(job):
    ended = job("all refuse", 2).end()
    assert ended.status == 2
    assert ended.errors() == ["error: the batch is of no use; choose another"]
    assert ended.sentences() == ["error: the batch is of no use; choose another"]
    assert "Traceback" not in ended.printed


@pytest.mark.parametrize("world", WORLDS)
def test_what_a_copy_refuses_is_what_the_job_says(job, world):
    ended = job("copy refuses", world).end()
    assert ended.status == 2
    assert ended.errors() == [f"error: rank {world - 1} has no image; give it one"]
    assert ended.sentences() == [f"error: rank {world - 1} has no image; give it one"]
    assert gone(ended.pids())


def test_how_a_copy_breaks_is_what_the_job_says(job, tmp_path):
    ended = job("copy breaks", 3).end()
    log = tmp_path / "log"
    assert ended.status == 1
    (sentence,) = ended.sentences()
    assert ended.errors() == [sentence]
    assert f"process 2 of 0 to 2 failed: LookupError: no such key in 2 (traceback in {log}.rank2)" in sentence
    assert "LookupError" in Path(f"{log}.rank2").read_text(encoding="utf-8")
    assert gone(ended.pids())


def test_a_copy_that_is_killed_is_named(job, tmp_path):
    ended = job("copy is killed", 3).end()
    assert ended.status == 1
    (sentence,) = ended.sentences()
    assert f"process 2 of 0 to 2 was ended by SIGKILL; its log is {tmp_path / 'log'}.rank2" in sentence
    assert gone(ended.pids())


def test_if_rank_0_breaks_it_says_so_itself_and_ends_the_others(job):
    ended = job("rank 0 breaks", 3).end()
    assert ended.status == 1
    (sentence,) = ended.sentences()
    assert sentence.startswith("error: LookupError: no such key in 0 (traceback in ")
    assert gone(ended.pids())


def test_a_job_that_would_not_notice_a_failed_copy_is_ended_with_its_sentence(job, tmp_path):
    ended = job("rank 0 does not notice", 3).end()
    assert ended.status == 2
    assert ended.errors() == ["error: the last one has no image; give it one"]
    assert ended.sentences() == ["error: the last one has no image; give it one"]
    assert "error: the last one has no image" in (tmp_path / "log").read_text(encoding="utf-8")
    assert gone(ended.pids())


def test_a_launcher_hears_what_all_processes_refuse_once(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--", __file__, "probe"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    options = ["--count", "2", "--do", "all refuse", "--folder", str(tmp_path), "--log", str(tmp_path / "log")]
    ended = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode != 0
    assert ended.stderr.splitlines().count("error: the batch is of no use; choose another") == 1, ended.stderr


@pytest.mark.parametrize(("backend", "destroyed"), [("gloo", ["group"]), ("nccl", [])])
def test_messages_of_gpus_are_not_waited_for_when_the_copies_are_ended(monkeypatch, tmp_path, backend, destroyed):
    server, calls = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_backend", lambda: backend)
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: calls.append("group"))
    with pytest.raises(LookupError), Copies(1, server.port, tmp_path / "log", print):
        raise LookupError
    assert calls == destroyed


@pytest.mark.parametrize(("ending", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)], ids=str)
def test_copies_end_with_rank_0(job, tmp_path, ending, status):
    running = job("wait", 3)
    wait_until(lambda: all((tmp_path / f"waits{own}").exists() for own in range(3)))
    pids = running.pids()
    assert not gone(pids[1:])
    running.process.send_signal(ending)
    assert running.end().status == status
    wait_until(lambda: gone(pids))


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        jobs_main.JOBS["probe"] = "__main__"  # this module, as it runs
        jobs_main.main()
    else:
        launched(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
