"""From the configuration to the plan: which runs there are and what settles the result of each.

Imports no torch, so that the workflow can be planned in a moment.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .checks import check_dataset, check_method, check_sizes, check_views, read_schema, validate
from .code_version import code_version, dependencies, imports
from .files import json_hash
from .jobs import UserError
from .methods import known_methods

__all__ = ["DATASETS", "TRAINING_MODULES", "Run", "plan_runs"]

# Names of the configuration, and of the paper's tables
DATASETS = {
    "digits": "digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet100": "ImageNet-100",
    "imagenet1k": "ImageNet-1k",
}
# What settles how anything is trained, beside its method
TRAINING_MODULES = ("determinism", "digits", "encoders", "images", "method", "pretrain", "seeds", "views")
SCHEMA = Path("workflow/schemas/config.schema.yaml")
METHODS_SCHEMA = Path("workflow/schemas/methods.schema.yaml")
PRINTED = Path("workflow/paper/tables.csv")


@dataclass(frozen=True)
class Run:
    """
    One configured method on one data set.

    Attributes
    ----------
    dataset, name : str
        Its place: ``results/runs/{dataset}/{name}``.
    label, variant, paper_dim
        The row of the paper's tables that it stands for; `paper_dim` is None for
        the reference rows.
    remark : str
        What a reader of its row must know, or nothing.
    seeds : tuple of int
        Trained and evaluated once each.
    seeds_per_job : int
        How many of them one process takes.
    training, evaluation : dict
        Everything that settles the trained encoder, and what is measured on it.
    selected : bool
        Whether ``datasets`` and ``methods`` ask for it.

    """

    dataset: str
    name: str
    label: str
    variant: str
    paper_dim: int | None
    remark: str
    seeds: tuple[int, ...]
    seeds_per_job: int
    training: dict[str, Any]
    evaluation: dict[str, Any]
    selected: bool

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 of the training settings, the code's version among them; keys the checkpoints."""
        return json_hash(self.training)

    @property
    def seeds_of_chunks(self) -> list[tuple[int, ...]]:
        """The seeds of each job."""
        return [self.seeds[i : i + self.seeds_per_job] for i in range(0, len(self.seeds), self.seeds_per_job)]

    @property
    def chunks(self) -> list[str]:
        """The name of each job's seeds: ``first-last``."""
        return [f"{seeds[0]}-{seeds[-1]}" for seeds in self.seeds_of_chunks]

    def checkpoint(self, seed: int) -> Path:
        """Return where the training state of one seed is kept, whatever becomes of the declared results."""
        return checkpoint_path(self.config_hash, seed)


def checkpoint_path(config_hash: str, seed: int) -> Path:
    """Return where the training state of one seed under one set of training settings is kept."""
    return Path("results/checkpoints") / config_hash[:16] / f"seed{seed}.state"


def plan_runs(config: Mapping[str, Any]) -> list[Run]:
    """
    Check the configuration and return its runs, those that it does not ask for among them.

    Raises
    ------
    UserError
        On the first thing that cannot be run, in one sentence, before anything
        is started.

    """
    validate(config, read_schema(SCHEMA), "")
    chosen = _names(config["datasets"], DATASETS, "data set")
    known = {*known_methods()} | {name for dataset in DATASETS if dataset in config for name in config[dataset]["runs"]}
    wanted = set(_names(config["methods"], known, "method or run")) if config["methods"] else None
    if config["data_root"] is not None and not Path(config["data_root"]).is_dir():
        raise UserError(f"data_root: there is no folder {config['data_root']!r}; give the folder that holds the data sets")
    for dataset in chosen:
        if dataset not in config:
            raise UserError(f"datasets: the settings of {dataset} are not in this version yet; available: digits")
    schemas = read_schema(METHODS_SCHEMA)
    runs = []
    for dataset in filter(config.__contains__, DATASETS):
        check_dataset(dataset, config[dataset])
        for name, run in config[dataset]["runs"].items():
            selected = dataset in chosen and (wanted is None or not wanted.isdisjoint({name, run["method"]}))
            runs.append(_resolve(config, schemas, dataset, name, run, selected))
    if not any(run.selected for run in runs):
        raise UserError(f"methods: {config['methods']} names no run of {config['datasets']}")
    _check_rows(runs)
    _check_orderings(config["orderings"], runs)
    return runs


def _resolve(
    config: Mapping[str, Any], schemas: Mapping[str, Any], dataset: str, name: str, run: Mapping[str, Any], selected: bool
) -> Run:
    settings = config[dataset]
    where = f"{dataset}.runs.{name}"
    check_method(where, run, schemas)
    views = run.get("views", settings["default_views"])
    check_views(where, views, settings["views"])
    training = {**settings["training"], **run.get("training", {})}
    if config["epochs"] is not None and training["epochs"] > 0:
        training["epochs"] = config["epochs"]
    if config["batch_size"] is not None:
        training["batch_size"] = config["batch_size"]
    options = dict(run.get("options", {}))
    if selected:
        check_sizes(where, settings, run, training["batch_size"], options)
    return Run(
        dataset=dataset,
        name=name,
        label=run["label"],
        variant=run["variant"],
        paper_dim=run.get("paper_dim"),
        remark=run.get("remark", ""),
        seeds=tuple(range(config["seeds"] or settings["seeds"])),
        seeds_per_job=settings["seeds_per_job"],
        training={
            "dataset": dataset,
            "data": settings["data"],
            "fit_on": settings["fit_on"],
            "encoder": settings["encoder"],
            "projector_hidden": run.get("projector_hidden", settings["projector_hidden"]),
            "proj_dim": run.get("proj_dim"),
            "views": [settings["views"][view] for view in views],
            "method": run["method"],
            "options": options,
            "loss_divisor": run.get("loss_divisor", 1),
            "threads": settings["threads"],
            **training,
            "code": _training_code(run["method"]),
            "packages": {name: version(name) for name in ("lightly", "torch")},
        },
        evaluation={
            "score_on": settings["score_on"],
            **settings["evaluation"],
            "code": code_version(
                "arb_core.scaling", *(f"arb_suite.{name}" for name in ("determinism", "evaluate", "images", "seeds"))
            ),
        },
        selected=selected,
    )


def _training_code(method: str) -> str:
    """Version the modules that settle what a training run of a method computes."""
    shared = [f"arb_suite.{name}" for name in TRAINING_MODULES]
    own = dependencies(f"arb_suite.methods.{method}")
    return code_version(*own, *shared, *(["arb_core"] if any(imports(module, "arb_core") for module in own) else []))


def _names(text: str, known: Any, what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}; known are {', '.join(sorted(known))}")
    if not names:
        raise UserError(f"no {what} given; known are {', '.join(sorted(known))}")
    return list(dict.fromkeys(names))


def _check_rows(runs: Sequence[Run]) -> None:
    """Refuse two runs that would stand for one row of a table."""
    rows: dict[tuple[str, str, int | None], str] = {}
    for run in runs:
        row = (run.dataset, run.label, run.paper_dim)
        if row in rows:
            raise UserError(
                f"{run.dataset}.runs: {rows[row]} and {run.name} both stand for {run.label} {run.paper_dim or ''}".rstrip()
                + "; give each a label or paper_dim of its own"
            )
        rows[row] = run.name


def _check_orderings(orderings: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> None:
    names = {run.name for run in runs}
    with PRINTED.open(encoding="utf-8", newline="") as handle:
        keys = ("table", "dataset", "metric", "method", "proj_dim")
        printed = {tuple(row[key] for key in keys) for row in csv.DictReader(handle)}
    for ordering in orderings:
        where = f"orderings: {ordering['name']}"
        for side in ("left", "right"):
            if ordering[side] not in names:
                raise UserError(f"{where}: no run is called {ordering[side]!r}; known are {', '.join(sorted(names))}")
            if "paper" in ordering:
                place = ordering["paper"]
                cell = (place["table"], place["dataset"], ordering["metric"], *place[side])
                if cell not in printed:
                    raise UserError(f"{where}: {PRINTED} has no cell {', '.join(cell)}")
