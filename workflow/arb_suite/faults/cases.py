"""The faults: what is done to a clone, or to the commands in it, and when."""

import contextlib
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import psutil

from .clone import Clone, Command
from .scene import EVERYTHING, Case, Scene, outcome

__all__ = ["TABLES", "cases"]

RUN = "results/runs/digits/arb_d32/seeds0-1"
TABLES = ("table_main.csv", "table_main.html", "table_main.txt", "orderings_main.csv", "runs.csv")
POLL = 0.01


# --- kills --------------------------------------------------------------------------------------------------------------


def _at_moment(scene: Scene, case: Case, command: Command) -> bool:
    """
    Wait until the moment of a case has come; tell whether the command is still running then.

    It is counted from the last job that had begun by then when nothing disturbed, so that another load of the machine does not
    shift all to one end.
    """
    due = (case.moment or 0.0) * scene.seconds
    log, begun = max(((log, begun) for log, begun in scene.stages.items() if begun <= due), key=lambda stage: stage[1])
    while command.running() and not (scene.clone.folder / log).exists():
        time.sleep(POLL)
    seen = time.monotonic()
    while command.running() and time.monotonic() < seen + due - begun:
        time.sleep(POLL)
    return command.running()


def _kill(number: signal.Signals, whom: str) -> Callable[[Scene, Case], tuple[str, str]]:
    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        command, clone = scene.start(), scene.clone
        trainings: list[psutil.Process] = []
        if whom == "training":
            while command.running() and not (trainings := clone.trainings()):
                time.sleep(10 * POLL)
            seen = time.monotonic()
            while command.running() and time.monotonic() < seen + (case.moment or 0.0) * scene.training:
                time.sleep(POLL)
        else:
            _at_moment(scene, case, command)
        hit = at_work(clone) if command.running() else "nothing: it had ended"
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if trainings:
                trainings[0].send_signal(number)
            elif command.running() and whom == "snakemake":
                command.process.send_signal(number)
            elif command.running() and whom == "group":
                os.killpg(command.process.pid, number)
        return hit, outcome(command.wait(), command.printed(), clone.folder)

    return disturb


def at_work(clone: Clone) -> str:
    """Return which job is at work in a clone."""
    names = []
    for process in clone.processes():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if words[1:3] == ["-m", "arb_suite"]:
                names.append(words[3])
    return " and ".join(sorted(set(names))) or "no job yet or between jobs"


def _kills(count: int, seed: int) -> Iterator[Case]:
    """Yield so many kills: both signals, to all whom they can reach, in turn, at moments that the seed settles."""
    kinds = [(number, whom) for whom in ("snakemake", "group", "training") for number in (signal.SIGKILL, signal.SIGTERM)]
    names = {"snakemake": "snakemake alone", "group": "the process group", "training": "the training process alone"}
    for i in range(count):
        number, whom = kinds[i % len(kinds)]
        moment = random.Random(f"{seed} kill {i}").uniform(0.02, 0.98)
        yield Case(f"kill{i:02}", f"{number.name} to {names[whom]}", moment, "code", _kill(number, whom))


# --- disks --------------------------------------------------------------------------------------------------------------


def _fill(scene: Scene, case: Case) -> tuple[str, str]:
    """Take all room of the small disk at the moment; where there is none, let no file grow beyond a size."""
    filler = scene.clone.folder.parent / "filler"
    if os.path.ismount(filler.parent):
        command = scene.start()
        running = _at_moment(scene, case, command)
        hit = at_work(scene.clone) if running else "nothing: it had ended"
        with filler.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
            while True:
                handle.write(bytes(4096))
        scene.remedies.append(filler.unlink)
        return f"{hit}; a tmpfs that is full", outcome(command.wait(), command.printed(), scene.clone.folder)
    size = int(10 ** (3 + 3.5 * (case.moment or 0.0)))
    scene.limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return f"RLIMIT_FSIZE of {size} bytes", scene.run()


# --- damage -------------------------------------------------------------------------------------------------------------


def _truncate(name: str, share: float) -> Callable[[Scene, Case], tuple[str, str]]:
    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        path = scene.clone.folder / name
        os.truncate(path, int(share * path.stat().st_size))
        return f"{name} cut to {share:.0%}", ""

    return disturb


def _edit_row(name: str, number: int, change: Callable[[str], str]) -> Callable[[Scene, Case], tuple[str, str]]:
    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        path = scene.clone.folder / name
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        row = lines[number].rstrip("\n")
        lines[number] = change(lines[number])
        path.write_text("".join(lines), encoding="utf-8")
        return f"{name}: {row[:60]}", ""

    return disturb


def _other_digit(row: str) -> str:
    """Return a row with its last digit before the first letter or comma that follows changed."""
    place = max(i for i, letter in enumerate(row[:-1]) if letter.isdigit() and not row[i + 1].isalnum())
    return f"{row[:place]}{(int(row[place]) + 1) % 10}{row[place + 1 :]}"


def _flip(seed: int, share: float) -> Callable[[Scene, Case], tuple[str, str]]:
    """Flip a bit of the training state of a seed, which is needed since the results are gone."""

    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        (path,) = scene.clone.results.glob(f"checkpoints/*/seed{seed}.state")
        content = bytearray(path.read_bytes())
        position = int(share * (len(content) - 1))
        content[position] ^= 1 << (position % 8)
        path.write_bytes(content)
        shutil.rmtree(scene.clone.folder / RUN)
        for name in TABLES:
            (scene.clone.results / name).unlink()
        return f"checkpoint of seed {seed}, byte {position} of {len(content)}", ""

    return disturb


# --- folders and company ------------------------------------------------------------------------------------------------


def _file_for_folder(name: str) -> Callable[[Scene, Case], tuple[str, str]]:
    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        path = scene.clone.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not a folder", encoding="utf-8")
        return f"a file in the place of {name}", ""

    return disturb


def _read_only(name: str) -> Callable[[Scene, Case], tuple[str, str]]:
    def disturb(scene: Scene, case: Case) -> tuple[str, str]:
        path = scene.clone.folder / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o555)
        scene.remedies.append(lambda: path.chmod(0o755))
        if os.geteuid() == 0:  # whom permissions do not bind
            scene.prefix = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
        return f"{name} is read-only" + (", as root without capabilities" if scene.prefix else ""), ""

    return disturb


def _elsewhere(
    cores: int | None = None, folder: str | None = None, **environment: str
) -> Callable[[Scene, Case], tuple[str, str]]:
    """Give the command as another user would: on so many cores, in a folder of that name, with another environment."""

    def settle(scene: Scene, case: Case) -> tuple[str, str]:
        said = [f"{name}={value}" for name, value in environment.items()]
        scene.environment |= environment
        if cores:
            scene.clone.cores = cores
            said.append(f"--cores {cores}")
        if folder:
            scene.clone.move(scene.clone.folder.with_name(folder))
            said.append(f"in a folder {folder!r}")
        return ", ".join(said), ""

    return settle


def _twice(scene: Scene, case: Case) -> tuple[str, str]:
    first = scene.start()
    _at_moment(scene, case, first)
    second = scene.start()
    ends = [outcome(command.wait(), command.printed(), scene.clone.folder) for command in (first, second)]
    return "two commands", " | ".join(sorted(ends))


def _nothing(scene: Scene, case: Case) -> tuple[str, str]:
    return "nothing", ""


def _without_records(scene: Scene, case: Case) -> tuple[str, str]:
    shutil.rmtree(scene.clone.folder / ".snakemake")
    return "results without .snakemake", ""


def cases(seed: int) -> Sequence[Case]:
    """Return the whole campaign."""

    def drawn(name: str, low: float = 0.02, high: float = 0.98) -> float:
        return random.Random(f"{seed} {name}").uniform(low, high)

    metrics, runs = f"{RUN}/metrics.csv", "results/runs.csv"
    of_data: tuple[str, ...] = ()
    of_run: tuple[str, ...] = ("results/data/",)
    cut = [(f"results/data/digits.{kind}", of_data) for kind in ("npz", "json")]
    cut += [(f"{RUN}/{name}", of_run) for name in ("metrics.csv", "predictions.npz", "encoders.state", "training.json")]
    cut += [(f"results/{name}", EVERYTHING) for name in TABLES]
    without, digit = (lambda row: ""), _other_digit
    rows: list[tuple[str, int, Callable[[str], str], tuple[str, ...]]] = [
        (metrics, 2, digit, of_run),
        (metrics, 3, without, of_run),
        (metrics, -1, without, of_run),
        (runs, 2, digit, EVERYTHING),
        ("results/table_main.csv", -2, digit, EVERYTHING),
        ("results/orderings_main.csv", 4, without, EVERYTHING),
    ]
    folders = [
        (_file_for_folder, "results/logs"),
        (_file_for_folder, "results/logs/train"),
        (_file_for_folder, "results/logs/train/digits"),
    ]
    locked = ["results/logs", "results/logs/train/digits", "results/runs/digits"]
    folder, zone, turkish = 'ein Ordner, "anders" & l\'été', "XYZ-13:45", "tr_TR.UTF-8"
    elsewhere = [
        _elsewhere(cores=1),
        _elsewhere(cores=8),
        _elsewhere(folder=folder),
        _elsewhere(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        _elsewhere(LC_ALL=turkish, LANGUAGE="tr"),
        _elsewhere(TZ=zone),
        _elsewhere(OMP_NUM_THREADS="4", MKL_NUM_THREADS="4", OPENBLAS_NUM_THREADS="4"),
        _elsewhere(cores=1, folder=folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", TZ=zone, PYTHONHASHSEED="7"),
    ]
    return [
        Case("undisturbed", "none", None, "code", _nothing),
        *_kills(50, seed),
        *(Case(f"disk{i}", "disk full", drawn(f"disk {i}"), "code", _fill) for i in range(8)),
        *(
            Case(f"cut{i:02}", "result truncated", None, "finished", _truncate(name, drawn(f"cut {i}")), spared)
            for i, (name, spared) in enumerate(cut)
        ),
        *(
            Case(f"row{i}", "CSV row damaged", None, "finished", _edit_row(name, number, change), spared)
            for i, (name, number, change, spared) in enumerate(rows)
        ),
        *(
            Case(f"bit{i}", "checkpoint with a flipped bit", None, "finished", _flip(i % 2, share), of_run, (i % 2,))
            for i, share in enumerate([0.0, 3e-6, *(drawn(f"bit {i}") for i in range(4)), 1.0])
        ),
        *(Case(f"file{i}", "log folder not writable", None, "code", make(name)) for i, (make, name) in enumerate(folders)),
        *(Case(f"locked{i}", "log folder not writable", None, "code", _read_only(name)) for i, name in enumerate(locked)),
        *(
            Case(f"two{i}", "two commands at once", moment, "code", _twice)
            for i, moment in enumerate([0.0, drawn("two 1"), drawn("two 2")])
        ),
        *(Case(f"other{i}", "none, elsewhere", None, "code", settle) for i, settle in enumerate(elsewhere)),
        Case("copied0", "results copied without .snakemake", None, "finished", _without_records, of_data),
        Case("copied1", "the same, made with other settings", None, "other settings", _without_records, of_data, (0, 1)),
    ]
