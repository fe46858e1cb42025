"""From the configuration to the plan: which runs there are and what settles the result of each.

Imports no torch, so that the workflow can be planned in a moment.
"""

import csv
import json
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from . import methods
from .code_version import code_version, imports, with_siblings
from .digits import N_SOURCES
from .files import json_hash
from .jobs import UserError

__all__ = ["DATASETS", "Run", "plan_runs", "read_resolved"]

# Names of the configuration, and of the paper's tables
DATASETS = {
    "digits": "digits",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet100": "ImageNet-100",
    "imagenet1k": "ImageNet-1k",
}
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
    _validate(config, _read_schema(SCHEMA), "")
    chosen = _names(config["datasets"], DATASETS, "data set")
    wanted = set(_names(config["methods"], _known_methods(), "method")) if config["methods"] else None
    if config["data_root"] is not None and not Path(config["data_root"]).is_dir():
        raise UserError(f"data_root: there is no folder {config['data_root']!r}; give the folder that holds the data sets")
    for dataset in chosen:
        if dataset not in config:
            raise UserError(f"datasets: the settings of {dataset} are not in this version yet; available: digits")
    schemas = _read_schema(METHODS_SCHEMA)
    runs = []
    for dataset in filter(config.__contains__, DATASETS):
        _check_dataset(dataset, config[dataset])
        for name, run in config[dataset]["runs"].items():
            selected = dataset in chosen and (wanted is None or run["method"] in wanted)
            runs.append(_resolve(config, schemas, dataset, name, run, selected))
    if not any(run.selected for run in runs):
        raise UserError(f"methods: {config['methods']} names no run of {config['datasets']}")
    _check_rows(runs)
    _check_orderings(config["orderings"], runs)
    return runs


def read_resolved(text: str) -> dict[str, Any]:
    """Read the settings that a rule hands to its job as JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"--settings is not JSON: {error}") from error


def _resolve(
    config: Mapping[str, Any], schemas: Mapping[str, Any], dataset: str, name: str, run: Mapping[str, Any], selected: bool
) -> Run:
    settings = config[dataset]
    where = f"{dataset}.runs.{name}"
    _check_method(where, run, schemas)
    views = run.get("views", settings["default_views"])
    _check_views(where, views, settings["views"])
    training = {**settings["training"], **run.get("training", {})}
    if config["epochs"] is not None and training["epochs"] > 0:
        training["epochs"] = config["epochs"]
    if config["batch_size"] is not None:
        training["batch_size"] = config["batch_size"]
    options = dict(run.get("options", {}))
    if selected:
        _check_sizes(where, settings, run, training["batch_size"], options)
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
            "loss_divisor": run["loss_divisor"],
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
    shared = [
        f"arb_suite.{name}" for name in ("determinism", "digits", "encoders", "images", "method", "pretrain", "seeds", "views")
    ]
    own = with_siblings(f"arb_suite.methods.{method}")
    return code_version(*own, *shared, *(["arb_core"] if any(imports(module, "arb_core") for module in own) else []))


def _known_methods() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(methods.__path__)}


def _names(text: str, known: Any, what: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}; known are {', '.join(sorted(known))}")
    if not names:
        raise UserError(f"no {what} given; known are {', '.join(sorted(known))}")
    return list(dict.fromkeys(names))


def _read_schema(path: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); run from the root of a clone of the repository") from error


def _validate(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    # The standard takes 3.0 for an integer, and Python's yaml reads .nan and .inf as numbers.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value),
        }
    )
    validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(dict(value)))
    if error is not None:
        place = f"{where}{error.json_path.removeprefix('$')}".removeprefix(".") or "top level"
        raise UserError(f"configuration: {place}: {error.message}")


def _check_method(where: str, run: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Refuse a run of an unknown method, or one that does not say what its method asks for."""
    if run["method"] not in _known_methods():
        raise UserError(f"{where}: unknown method {run['method']!r}; known are {', '.join(sorted(_known_methods()))}")
    _validate(run, {"$defs": schemas["$defs"], **schemas["methods"].get(run["method"], {})}, where)


def _check_dataset(dataset: str, settings: Mapping[str, Any]) -> None:
    """Refuse what no schema can: settings of a data set that do not fit each other."""
    sources = settings["data"]["sources"]
    if sum(sources.values()) != N_SOURCES:
        raise UserError(f"{dataset}.data.sources add up to {sum(sources.values())}; there are {N_SOURCES} digits to split")
    ranges = {f"data.{name}": settings["data"][name] for name in ("inverse_scale", "background", "ink")}
    for view, of in settings["views"].items():
        ranges |= {f"views.{view}.{name}": of[name] for name in ("crop_area", "crop_aspect")}
    for name, (low, high) in ranges.items():
        if low > high:
            raise UserError(f"{dataset}.{name}: [{low}, {high}] is not [low, high]; exchange the two")
    if settings["score_on"] in settings["fit_on"]:
        raise UserError(f"{dataset}: score_on {settings['score_on']!r} is also in fit_on; score on images that were not fitted")
    if len(settings["encoder"]["widths"]) != len(settings["encoder"]["strides"]):
        lengths = f"{len(settings['encoder']['widths'])} and {len(settings['encoder']['strides'])}"
        raise UserError(f"{dataset}.encoder: widths and strides must be equally long, but have {lengths} entries")


def _check_views(where: str, views: Sequence[str], known: Mapping[str, Any]) -> None:
    for view in views:
        if view not in known:
            raise UserError(f"{where}: no views are called {view!r}; known are {', '.join(known)}")
    full = min(known[view]["scale"] for view in views[:2])
    for view in views[2:]:
        if known[view]["scale"] > full:
            raise UserError(f"{where}: the view {view!r} is larger than the first two; put those of full size first")


def _check_sizes(
    where: str, settings: Mapping[str, Any], run: Mapping[str, Any], batch_size: int, options: Mapping[str, Any]
) -> None:
    """Refuse a run whose sizes do not fit each other."""
    images = sum(settings["data"]["sources"][split] for split in settings["fit_on"]) * settings["data"]["renders"]
    if batch_size > images:
        raise UserError(f"{where}: batch_size {batch_size} is larger than the {images} training images; choose less")
    if run["method"] == "arb":
        feature = options.get("level", "feature") == "feature"
        what, size = ("proj_dim", run["proj_dim"]) if feature else ("batch_size", batch_size)
        if size % options["groups"]:
            raise UserError(f"{where}: groups {options['groups']} does not divide {what} {size}; choose a divisor of {size}")
    if run["method"] == "w_mse":
        whitened, least = options["whitening_size"], 2 * run["proj_dim"]
        if batch_size % whitened or whitened < least:
            raise UserError(
                f"{where}: whitening_size {whitened} must divide batch_size {batch_size} and be {least} or more, twice proj_dim;"
                " choose others, or leave w_mse out with methods=..."
            )


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
