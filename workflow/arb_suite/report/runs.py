"""Where the numbers come from: every run with its configuration, versions, device, duration and files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..jobs import UserError

__all__ = ["overview", "read_runs"]


def read_runs(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Read the records of the runs that were made.

    Parameters
    ----------
    runs : sequence of mapping
        See `workflow.Plan`.

    Returns
    -------
    list of dict
        By run: ``place`` (data set and name), ``label``, ``proj_dim``, ``epochs``,
        ``seeds``, ``hash``, ``settings``, ``computed_on``, ``commits``, ``packages``,
        ``platforms``, ``seconds`` over all seeds, ``files`` (relative to the folder of
        results), ``began`` and ``ended`` in UTC, and ``same_as``, the place of an
        earlier run that is the same training, or None: a tuned run at the customary
        setting.

    Raises
    ------
    UserError
        If a record cannot be read.

    """
    found: list[dict[str, Any]] = []
    by_hash: dict[str, str] = {}
    for run in runs:
        paths = [Path(path) for path in run["trainings"] if Path(path).exists()]
        if not paths:
            continue
        records = [_read(path) for path in paths]
        seeds = {int(seed): of_seed for record in records for seed, of_seed in record["seeds"].items()}
        place = f"{run['dataset']}/{run['name']}"
        found.append(
            {
                "place": place,
                "label": run["label"],
                "proj_dim": run["proj_dim"],
                "epochs": records[0]["settings"]["epochs"],
                "seeds": sorted(seeds),
                "hash": records[0]["config_hash"][:16],
                "settings": json.dumps(records[0]["settings"], indent=1, sort_keys=True),
                "computed_on": _distinct(name for of_seed in seeds.values() for name in of_seed["computed_on"]),
                "commits": _distinct(of_seed["commit"] for of_seed in seeds.values()),
                "packages": seeds[min(seeds)]["packages"],
                "platforms": _distinct(of_seed["platform"] for of_seed in seeds.values()),
                "seconds": sum(of_seed["wall_seconds"] for of_seed in seeds.values()),
                "data_hash": seeds[min(seeds)]["data_hash"],
                "files": [str(path.parent.relative_to("results")) for path in paths],
                "logs": [f"logs/train/{place}/{path.parent.name}.log" for path in paths],
                "began": min(of_seed["began"] for of_seed in seeds.values()),
                "ended": max(of_seed["ended"] for of_seed in seeds.values()),
                "same_as": by_hash.get(records[0]["config_hash"]),
            }
        )
        by_hash.setdefault(records[0]["config_hash"], place)
    return found


def overview(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return what was run, on what, when and of which version, or None if nothing was."""
    if not runs:
        return None
    runs = [run for run in runs if run["same_as"] is None]
    return {
        "runs": len(runs),
        "seeds": sum(len(run["seeds"]) for run in runs),
        "datasets": _distinct(run["place"].partition("/")[0] for run in runs),
        "hours": sum(run["seconds"] for run in runs) / 3600,
        "computed_on": _distinct(name for run in runs for name in run["computed_on"]),
        "platforms": _distinct(name for run in runs for name in run["platforms"]),
        "commits": _distinct(name for run in runs for name in run["commits"] if name),
        "packages": runs[0]["packages"],
        "began": min(run["began"] for run in runs),
        "ended": max(run["ended"] for run in runs),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete its folder and give the command again") from error
    return content


def _distinct(values: Any) -> list[str]:
    return list(dict.fromkeys(values))
