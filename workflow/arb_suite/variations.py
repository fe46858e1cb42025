"""What is made of the configured runs: variations of them, and the few other settings that each is tried with."""

from collections.abc import Mapping
from typing import Any

from .jobs import UserError

__all__ = ["changed", "check_tuning", "describe", "grid_of", "tuned_name", "tuned_runs", "with_likes", "with_variations"]

Settings = Mapping[str, Any]  # of a data set, or of one run
NOT_HANDED_ON = ("cells", "paper_dim", "remark", "snapshots", "trace")  # from a run to its variations


def tuned_name(run: str) -> str:
    """Return the name of a run at its tuned setting."""
    return f"{run}_tuned"


def with_likes(config: Settings) -> dict[str, Any]:
    """
    Return the configuration with the settings of a data set that is like another written out.

    It has those of the other's runs and variations that it names, without their place
    in the paper; or else all of its runs, with ``changes`` to some, entry by entry, and
    variations of its own.
    """
    written = dict(config)
    for dataset, settings in config.items():
        if not isinstance(settings, Mapping) or "like" not in settings:
            continue
        if settings["like"] not in config:
            raise UserError(f"{dataset}: it is like {settings['like']}, which is not configured; configure that too")
        other = config[settings["like"]]
        shared = {key: value for key, value in other.items() if key not in ("variations", "tuning")}
        if "runs" not in settings:
            runs = dict(other["runs"])
            for name, changes in settings.get("changes", {}).items():
                if name not in runs:
                    raise UserError(f"{dataset}.changes: {settings['like']} has no run {name!r}; known are {', '.join(runs)}")
                runs[name] = runs[name] | changes
            own = {key: value for key, value in settings.items() if key not in ("like", "changes")}
            written[dataset] = shared | own | {"runs": runs}
            continue
        known = with_variations(settings["like"], other)
        runs = {}
        for name, changes in settings["runs"].items():
            if name not in known:
                raise UserError(f"{dataset}.runs: {settings['like']} has no run {name!r}; known are {', '.join(known)}")
            left_out = (*NOT_HANDED_ON, "of")
            runs[name] = {key: value for key, value in known[name].items() if key not in left_out} | changes
        written[dataset] = shared | {key: value for key, value in settings.items() if key != "like"} | {"runs": runs}
    return written


def with_variations(dataset: str, settings: Settings) -> dict[str, Settings]:
    """
    Return the runs of a data set and their variations.

    A variation is a run with other entries, mappings entry by entry, without its row
    in the paper, what is remarked on that, and what is recorded during training.

    """
    runs: dict[str, Settings] = dict(settings["runs"])
    for name, variation in settings.get("variations", {}).items():
        where = f"{dataset}.variations.{name}"
        if name in runs:
            raise UserError(f"{where}: a run is called {name} already; choose another name")
        if variation["of"] not in settings["runs"]:
            raise UserError(f"{where}: no run is called {variation['of']!r}; known are {', '.join(settings['runs'])}")
        run = {key: value for key, value in settings["runs"][variation["of"]].items() if key not in NOT_HANDED_ON}
        for key, value in variation.items():
            merged = isinstance(value, Mapping) and "method" not in variation
            run[key] = {**run.get(key, {}), **value} if merged else value
        runs[name] = run
    return runs


def grid_of(settings: Settings, name: str) -> list[Settings]:
    """Return what a run is tried with, its setting as it is configured first."""
    return [{}, *settings["tuning"]["grids"][name]]


def tuned_runs(dataset: str, settings: Settings) -> dict[str, tuple[str, str]]:
    """
    Return the runs at tuned settings.

    Returns
    -------
    dict
        By name: the run that it is, and the run on whose grid the setting is
        chosen, which may be another.

    """
    tuning = settings.get("tuning", {"grids": {}, "also": {}})
    runs = with_variations(dataset, settings)
    tuned = {}
    for chosen_on, others in {name: [name, *tuning["also"].get(name, [])] for name in tuning["grids"]}.items():
        for base in others:
            name = tuned_name(base)
            if name in runs or name in tuned:
                raise UserError(f"{dataset}.tuning: there are two runs {name}; name {base} once, and no other run {name}")
            tuned[name] = (base, chosen_on)
    return tuned


def changed(run: Settings, settings: Settings, change: Settings) -> Settings:
    """Return a run with what an entry of its grid says: other options, and its learning rates times a factor."""
    rate, training = change.get("rate", 1), {**settings["training"], **run.get("training", {})}
    rates = {name: rate * training[name] for name in ("learning_rate", "bias_learning_rate")} if rate != 1 else {}
    return {
        **run,
        "options": {**run.get("options", {}), **change.get("options", {})},
        "training": {**run.get("training", {}), **rates},
    }


def describe(change: Settings) -> str:
    """Say what an entry of a grid changes."""
    parts = [f"rates x {change['rate']:g}"] if "rate" in change else []
    parts += [f"{name} {value}" for name, value in change.get("options", {}).items()]
    return ", ".join(parts) or "as configured"


def check_tuning(dataset: str, settings: Settings) -> None:
    """Refuse grids of unknown runs, and grids that give one method more trials than another."""
    tuning = settings.get("tuning")
    if tuning is None:
        return
    runs = with_variations(dataset, settings)
    for where, names, known in (
        ("grids", list(tuning["grids"]), settings["runs"]),
        ("also", list(tuning["also"]), tuning["grids"]),
        ("also", [name for others in tuning["also"].values() for name in others], runs),
    ):
        for name in names:
            if name not in known:
                raise UserError(f"{dataset}.tuning.{where}: no run is called {name!r}; known are {', '.join(known)}")
    for name in tuning["grids"]:
        if {**settings["training"], **settings["runs"][name].get("training", {})}["epochs"] == 0:
            raise UserError(f"{dataset}.tuning.grids.{name}: {name} is not trained, so no setting can be tried; leave it out")
        described = [describe(change) for change in grid_of(settings, name)]
        for setting in described:
            if described.count(setting) > 1:
                raise UserError(f"{dataset}.tuning.grids.{name}: {setting!r} is there twice; give each setting once")
    sizes = {name: len(grid) for name, grid in tuning["grids"].items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise UserError(
            f"{dataset}.tuning.grids: every method is to have as many trials as the others, but they have: {counts}"
        )
    shared = {"fit_on": tuning["fit_on"], "score_on": tuning["score_on"]}
    kept_out = settings["score_on"]
    if tuning["score_on"] in (*tuning["fit_on"], kept_out) or kept_out in tuning["fit_on"]:
        raise UserError(
            f"{dataset}.tuning: {shared}: settings are to be chosen on images that are neither fitted nor those of the results"
            f" ({kept_out}), and those never fitted; choose others"
        )
