"""What the tables and figures take on this machine, told before it is spent: runs, epochs, images, hours, disk and memory."""

import argparse
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from .files import atomic_file, write_csv
from .jobs import job_parser, read_resolved, run_job
from .pretrain import snapshot_epochs

__all__ = ["COLUMNS", "costs"]

COLUMNS = [
    *("target", "dataset", "runs", "seeds", "epochs", "steps", "images"),
    *("hours", "disk_gb", "memory_gb", "computed_on", "note"),
]
ALL = "all"
BETWEEN = " | "  # notes
GB = 1e9


def costs(runs: Sequence[Mapping[str, Any]], measured: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """
    Add up what the runs of every target take.

    Parameters
    ----------
    runs : sequence of mapping
        ``dataset``, ``name``, ``targets`` (those that it stands in), ``workload``,
        ``seeds``, ``epochs``, ``batch_size``, ``train_images``, ``scored_images``,
        ``snapshots``, ``probe`` (``epochs`` and ``batch_size`` of the linear probe) and
        ``from_files``, whether its images are decoded on the way. The trials of a
        choice among settings count as a run, and each as a seed.
    measured : mapping
        By workload, what `throughput.measure` returns.

    Returns
    -------
    pandas.DataFrame
        A row per target and data set, and for all targets together, where a run that
        stands in several counts once. ``hours`` are those of one device after another:
        training and evaluation, all but reading files. ``images`` are images seen in
        training, each in two views or more. ``disk_gb`` has the last checkpoint and
        the trained parameters of every seed; ``memory_gb`` is the largest, that of a step or of
        the features of the training images, which kNN has twice.

    """
    rows = []
    targets = [*dict.fromkeys(target for run in runs for target in run["targets"]), ALL]
    for target in targets:
        for dataset in dict.fromkeys(run["dataset"] for run in runs):
            own = [run for run in runs if run["dataset"] == dataset and (target == ALL or target in run["targets"])]
            if own:
                rows.append({"target": target, "dataset": dataset, **_sum(own, measured)})
    return pd.DataFrame(rows, columns=COLUMNS)


def _sum(runs: Sequence[Mapping[str, Any]], measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    total = dict.fromkeys(("seeds", "epochs", "steps", "images"), 0)
    hours, disk, memory, failed, probed = 0.0, 0.0, [], [], []
    for run in runs:
        cost = measured[run["workload"]]
        steps = run["epochs"] * (run["train_images"] // run["batch_size"])
        total["seeds"] += run["seeds"]
        total["epochs"] += run["seeds"] * run["epochs"]
        total["steps"] += run["seeds"] * steps
        total["images"] += run["seeds"] * steps * run["batch_size"]
        if "failed" in cost:
            failed.append(run["name"])
            continue
        kept = len(snapshot_epochs(run["epochs"], run["snapshots"]))
        hours += run["seeds"] * (steps * cost["step_seconds"] + kept * _evaluation_seconds(run, cost)) / 3600
        disk += run["seeds"] * (cost["state_bytes"] + 2 * kept * cost["snapshot_bytes"])
        if cost["memory_bytes"] is not None:
            features = 2 * run["train_images"] * cost["feature_bytes"] + cost["snapshot_bytes"]
            memory.append(max(cost["memory_bytes"], features))
        probed += [cost["timed_batch"]] if cost["timed_batch"] < run["batch_size"] and steps else []
    notes = [f"without {', '.join(failed)}: {measured[_named(runs, failed[0])]['failed']}"] if failed else []
    notes += [f"large batches were timed with {max(probed)} images a step, in proportion"] if probed else []
    notes += [] if memory else ["memory is measured where whole batches are timed"]
    notes += ["reading and decoding files is not in it"] if any(run["from_files"] for run in runs) else []
    return {
        "runs": len(runs),
        **total,
        "hours": f"{hours:.3g}",
        "disk_gb": f"{disk / GB:.3g}",
        "memory_gb": f"{max(memory) / GB:.3g}" if memory else "",
        "computed_on": "; ".join(dict.fromkeys(measured[run["workload"]]["computed_on"] for run in runs)),
        "note": BETWEEN.join(notes),
    }


def _evaluation_seconds(run: Mapping[str, Any], cost: Mapping[str, Any]) -> float:
    fitted, scored = run["train_images"], run["scored_images"]
    probe = run["probe"]["epochs"] * -(-fitted // run["probe"]["batch_size"])
    seconds: float = (
        (fitted + scored) * cost["image_seconds"] + probe * cost["probe_seconds"] + fitted * scored * cost["pair_seconds"]
    )
    return seconds


def _named(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    workload: str = next(run["workload"] for run in runs if run["name"] == name)
    return workload


def _duration(hours: float) -> str:
    """
    Return a duration in the unit that suits it.

    Examples
    --------
    >>> [_duration(hours) for hours in (0.0028, 0.21, 7.26, 412.0)]
    ['10 s', '13 min', '7.3 h', '17 days']

    """
    for unit, of_an_hour, most in (("s", 3600, 90), ("min", 60, 90), ("h", 1, 48)):
        if hours * of_an_hour < most:
            return f"{hours * of_an_hour:.2g} {unit}"
    days = hours / 24
    return f"{days:.2g} days" if days < 10 else f"{days:.0f} days"


def render(table: pd.DataFrame) -> str:
    """Return the costs for a terminal."""
    shown = Table(title="What it takes on this machine, one device", box=None, header_style="")
    for column in COLUMNS[:-2]:
        shown.add_column(column, justify="left" if column in ("target", "dataset") else "right")
    shown.columns[COLUMNS.index("hours")].header = "time"
    for row in table.to_dict("records"):
        texts = {**row, "hours": _duration(float(row["hours"]))}
        shown.add_row(*(str(texts[column]) for column in COLUMNS[:-2]))
    buffer = io.StringIO()
    Console(file=buffer, width=120).print(shown)
    lines = [line.rstrip() for line in buffer.getvalue().splitlines()]
    lines += [
        "seeds, epochs, steps and images are sums over runs and seeds; in all, a run that stands in several targets counts once"
    ]
    lines += [f"computed on {name}" for name in dict.fromkeys(table["computed_on"])]
    lines += [f"note: {note}" for note in dict.fromkeys(BETWEEN.join(table["note"]).split(BETWEEN)) if note]
    return "\n".join(lines) + "\n"


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the costs."""
    measured = json.loads(options.throughput.read_text(encoding="utf-8"))["workloads"]
    table = costs(read_resolved(options.plan)["runs"], measured)
    text = render(table)
    with atomic_file(options.text) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_csv(options.out, table)
    report("\n" + text)


def main() -> None:
    """Run the rule ``plan``."""
    parser = job_parser("Tell what the tables and figures take.")
    parser.add_argument("--plan", required=True, help="the runs, as JSON")
    parser.add_argument("--throughput", type=Path, required=True, help="what was measured, JSON")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    parser.add_argument("--text", type=Path, required=True, help="the same for the terminal")
    run_job(work, parser)
