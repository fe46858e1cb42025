"""How the embeddings collapse, or do not: their singular values over the training, of the runs that were evaluated along it."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .files import read_npz, write_csv
from .jobs import UserError, job_parser, run_job

__all__ = ["COLUMNS", "spectra", "spectrum_name"]

COLUMNS = ["dataset", "method", "proj_dim", "epoch", "index", "singular_value", "n_seeds", "n_eval"]


def spectrum_name(seed: int, epoch: int) -> str:
    """Return the name of a spectrum among the predictions of a run."""
    return f"spectrum_seed{seed}_epoch{epoch}"


def spectra(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """
    Collect the singular values of runs.

    Parameters
    ----------
    runs : sequence of mapping
        See `workflow.Plan`; their predictions are read.

    Returns
    -------
    pandas.DataFrame
        A row per run, epoch and index, from 1 for the largest: the mean over seeds of
        the singular value of the standard-scaled embeddings (Eq. 7) of the scored
        images. Their squares add up to the number of features that vary.

    """
    rows = []
    for run in runs:
        by_epoch: dict[int, list[np.ndarray]] = {}
        for epoch, spectrum in _recorded(run):
            by_epoch.setdefault(epoch, []).append(spectrum)
        for epoch, values in sorted(by_epoch.items()):
            identity = (run["dataset"], run["label"], run["proj_dim"], epoch)
            means = np.stack(values).mean(axis=0, dtype=np.float64)
            rows += [(*identity, i, f"{mean:.6g}", len(values), run["n_eval"]) for i, mean in enumerate(means, 1)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _recorded(run: Mapping[str, Any]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each epoch and spectrum of each seed."""
    for path in map(Path, run["predictions"]):
        arrays = read_npz(path)
        found = [name for name in arrays if name.startswith("spectrum_")]
        if not found:
            raise UserError(
                f"{path} holds no spectra, as runs of earlier versions; delete its folder and give the command again"
            )
        for name in found:
            yield int(name.rpartition("epoch")[2]), arrays[name]


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the singular values."""
    table = spectra(json.loads(options.plan)["runs"])
    write_csv(options.out, table)
    report(f"singular values of {table.groupby(['method', 'proj_dim']).ngroups} runs over the training, in {options.out}")


def main() -> None:
    """Run the rule ``spectra``."""
    parser = job_parser("Collect the singular values of embeddings over the training.")
    parser.add_argument("--plan", required=True, help="the runs, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file")
    run_job(work, parser)
