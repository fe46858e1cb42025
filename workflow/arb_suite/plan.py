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
        ``snapshots`` and ``from_files``, whether its images are decoded on the way.
        The trials of a choice among settings count as a run, and each as a seed.
    measured : mapping
        By workload, what `throughput.measure` returns.

    Returns
    -------
    pandas.DataFrame
        A row per target and data set, and for all targets together, where a run that
        stands in several counts once. ``hours`` are those of one device after another:
        training and the encoder's passes of evaluation. ``images`` are images seen in
        training, each in two views or more. ``disk_gb`` has the last checkpoint and
        the trained parameters of every seed; ``memory_gb`` is the largest.

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
        evaluated = kept * (run["train_images"] + run["scored_images"])
        hours += run["seeds"] * (steps * cost["step_seconds"] + evaluated * cost["image_seconds"]) / 3600
        disk += run["seeds"] * (cost["state_bytes"] + 2 * kept * cost["snapshot_bytes"])
        memory.append(cost["memory_bytes"])
        probed += [cost["timed_batch"]] if cost["timed_batch"] < run["batch_size"] and steps else []
    known = [each for each in memory if each is not None]
    notes = [f"without {', '.join(failed)}: {measured[_named(runs, failed[0])]['failed']}"] if failed else []
    notes += [f"large batches were timed with {max(probed)} images a step, in proportion"] if probed else []
    notes += [] if known else ["memory is measured on GPUs alone"]
    notes += ["reading and decoding files is not in it"] if any(run["from_files"] for run in runs) else []
    return {
        "runs": len(runs),
        **total,
        "hours": f"{hours:.3g}",
        "disk_gb": f"{disk / GB:.3g}",
        "memory_gb": f"{max(known) / GB:.3g}" if known else "",
        "computed_on": "; ".join(dict.fromkeys(measured[run["workload"]]["computed_on"] for run in runs)),
        "note": BETWEEN.join(notes),
    }


def _named(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    return next(run["workload"] for run in runs if run["name"] == name)


def render(table: pd.DataFrame) -> str:
    """Return the costs for a terminal."""
    shown = Table(title="What it takes on this machine, one device", box=None, header_style="")
    for column in COLUMNS[:-2]:
        shown.add_column(column, justify="left" if column in ("target", "dataset") else "right")
    for row in table.to_dict("records"):
        shown.add_row(*(str(row[column]) for column in COLUMNS[:-2]))
    buffer = io.StringIO()
    Console(file=buffer, width=120).print(shown)
    lines = [line.rstrip() for line in buffer.getvalue().splitlines()]
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
