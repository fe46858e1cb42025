"""From the configuration to the plan: which runs there are and what settles the result of each.

Imports no torch, so that the workflow can be planned in a moment.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .cells import PLACES, SIDES, is_named, metric_of, printed_cells, printed_sides, title
from .checks import check_dataset, check_method, check_sizes, check_views, did_you_mean, n_images, read_schema, validate
from .code_version import code_version, dependencies, imports
from .files import json_hash
from .jobs import UserError
from .methods import known_methods
from .printed import FOLDER
from .variations import changed, check_tuning, describe, grid_of, tuned_runs, with_likes, with_variations

__all__ = ["DATASETS", "EMBEDDED", "TRAINING_MODULES", "Run", "checkpoint_path", "listed_names", "plan_runs"]

# Names of the configuration, and of the paper's tables
DATASETS = {
    "digits": "digits",
    "glyphs": "glyphs",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet100": "ImageNet-100",
    "imagenet1k": "ImageNet-1k",
}
EMBEDDED = ("digits", "glyphs")  # those that every clone has; the others are the paper's
# What settles how anything is trained, beside its method
TRAINING_MODULES = (
    *("compute", "decoders", "determinism", "encoders", "file_images", "global_batch_norm", "image_files", "images", "method"),
    *(
        "optimizers",
        "photo_operations",
        "photo_parameters",
        "photo_views",
        "pretrain",
        "processes",
        "renders",
        "seeds",
        "trace",
    ),
    "views",
)
# What settles how a trained encoder is evaluated
EVALUATING_MODULES = (
    *("compute", "decoders", "determinism", "evaluate", "file_images", "image_files", "images", "photo_operations"),
    *("photo_views", "seeds", "train", "views"),
)
HOW_TO_GET_IT = ("full",)  # settings of data that do not change it
SCHEMA = Path("workflow/schemas/config.schema.yaml")
METHODS_SCHEMA = Path("workflow/schemas/methods.schema.yaml")


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
    variation_of : str or None
        The run that this one is, with something changed; a variation has no row of
        its own in the main table.
    chosen_on : str or None
        The run on whose grid the setting of this one is chosen; it is then one of
        `candidates`, and `training` is the first of them, the customary one.
    candidates : dict
        Training settings by what is changed in them; empty for most runs.
    cells : dict
        By table or figure, the columns of the printed cells that this run measures,
        beside those of its row of Table 1; on the paper's data sets.

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
    variation_of: str | None = None
    chosen_on: str | None = None
    candidates: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, dict[str, str]] = field(default_factory=dict)

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
    config = with_likes(config)
    chosen = listed_names(config["datasets"], DATASETS, "data set")
    configured = [dataset for dataset in DATASETS if dataset in config]
    known = {*known_methods()}
    for dataset in configured:
        check_tuning(dataset, config[dataset])
        known |= {*with_variations(dataset, config[dataset]), *tuned_runs(dataset, config[dataset])}
    methods = f"{', '.join(known_methods())}, and the runs in workflow/config"
    wanted = set(listed_names(config["methods"], known, "method or run", methods)) if config["methods"] else None
    if config["data_root"] is not None and not os.path.isdir(config["data_root"]):
        raise UserError(f"data_root: there is no folder {config['data_root']!r:.200}; give the folder that holds the data sets")
    for dataset in chosen:
        if dataset not in config:
            available = ", ".join(configured)
            raise UserError(f"datasets: the settings of {dataset} are not in this version yet; available: {available}")
        if dataset not in EMBEDDED and config["data_root"] is None:
            raise UserError(f"datasets: {dataset} is not embedded; give data_root=DIR, the folder that holds its images")
    schemas = read_schema(METHODS_SCHEMA)
    runs = []
    for dataset in configured:
        check_dataset(dataset, config[dataset])
        named = with_variations(dataset, config[dataset])
        asked = {
            name: dataset in chosen and (wanted is None or not wanted.isdisjoint({name, run["method"], run.get("of")}))
            for name, run in named.items()
        }
        resolve = partial(_resolve, config, schemas, dataset)
        for name, run in named.items():
            runs.append(resolve(f"{dataset}.{'variations' if 'of' in run else 'runs'}.{name}", name, run, asked[name]))
        for name, (base, chosen_on) in tuned_runs(dataset, config[dataset]).items():
            selected = asked[base] or (wanted is not None and dataset in chosen and name in wanted)
            where = f"{dataset}.tuning.grids.{chosen_on}, for {base}"
            tried = _tried(
                partial(resolve, where, base, selected=selected), named[base], config[dataset], chosen_on, config["batch_size"]
            )
            if selected and base == chosen_on:
                images = n_images(config[dataset], config[dataset]["tuning"]["fit_on"])
                if tried["as configured"].training["batch_size"] > images:
                    raise UserError(f"{where}: batch_size is larger than the {images} images that trials are fitted on")
            runs.append(_tuned(name, chosen_on, tried))
    if not any(run.selected for run in runs):
        raise UserError(f"methods: {config['methods']} names no run of {config['datasets']}")
    _check_rows(runs)
    _check_orderings(config["orderings"], runs)
    _check_counterparts(config["counterparts"], runs)
    _check_cells(runs)
    return runs


def _resolve(
    config: Mapping[str, Any],
    schemas: Mapping[str, Any],
    dataset: str,
    where: str,
    name: str,
    run: Mapping[str, Any],
    selected: bool,
) -> Run:
    settings = config[dataset]
    check_method(where, run, schemas)
    views = run.get("views", settings["default_views"])
    check_views(where, views, settings["views"])
    training = {**settings["training"], **run.get("training", {})}
    if config["epochs"] is not None and training["epochs"] > 0:
        training["epochs"] = config["epochs"]
    if config["batch_size"] is not None:
        training["batch_size"] = config["batch_size"]
    options = dict(run.get("options", {}))
    photographs = dataset not in EMBEDDED
    normalised = {name: settings["data"][name] for name in ("mean", "std")} if photographs else {}
    evaluation = dict(settings["evaluation"])
    resized = {"resize": evaluation.pop("resize")} if "resize" in evaluation else {}
    if selected:
        check_sizes(where, settings, run, training["batch_size"], options)
        if photographs and training["batch_size"] % config["processes"]:
            raise UserError(
                f"{where}: {config['processes']} processes cannot share batch_size {training['batch_size']} equally;"
                f" choose a number of processes that divides it"
            )
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
            "data": {name: value for name, value in settings["data"].items() if name not in HOW_TO_GET_IT},
            "fit_on": settings["fit_on"],
            "encoder": settings["encoder"],
            "projector_hidden": run.get("projector_hidden", settings["projector_hidden"]),
            "proj_dim": run.get("proj_dim"),
            "views": [settings["views"][view] | normalised for view in views],
            "method": run["method"],
            "options": options,
            "loss_divisor": run.get("loss_divisor", 1),
            "snapshots": run.get("snapshots", 0),
            "trace": run.get("trace", False),
            "threads": settings["threads"],
            "compute": settings["compute"],
            **training,
            "code": _training_code(run["method"]),
            "packages": _packages(photographs),
        },
        evaluation={
            "score_on": settings["score_on"],
            **evaluation,
            "view": {"size": settings["views"][views[0]]["size"], **resized, **normalised} if photographs else None,
            "top5": photographs,
            "code": code_version("arb_core.scaling", *(f"arb_suite.{name}" for name in EVALUATING_MODULES)),
            "packages": _packages(photographs),
        },
        selected=selected,
        variation_of=run.get("of"),
        cells=run.get("cells", {}),
    )


def _tried(
    resolve: Callable[..., Run], run: Mapping[str, Any], settings: Mapping[str, Any], chosen_on: str, batch_size: int | None
) -> dict[str, Run]:
    """
    Return a run with every entry of a grid, by what is changed.

    Without those that are what the run is configured with, as where a user changed
    it, and those that do not fit an overridden batch size: both are of experiments.

    """
    tried: dict[str, Run] = {}
    for change in grid_of(settings, chosen_on):
        try:
            candidate = resolve(changed(run, settings, change))
        except UserError:
            if batch_size is None or not tried:
                raise
            continue
        if candidate.config_hash not in {other.config_hash for other in tried.values()}:
            tried[describe(change)] = candidate
    return tried


def _tuned(name: str, chosen_on: str, candidates: Mapping[str, Run]) -> Run:
    """Return the run at the setting that is chosen of the candidates later."""
    customary = next(iter(candidates.values()))
    return replace(
        customary,
        name=name,
        paper_dim=None,
        variation_of=customary.name,
        chosen_on=chosen_on,
        candidates={change: candidate.training for change, candidate in candidates.items()},
    )


@cache
def _packages(photographs: bool) -> dict[str, str]:
    """Return the versions of what settles results beside the suite's code; of photographs also what decodes them."""
    names = ("lightly", "torch", *(("pillow", "torchvision") if photographs else ()))
    return {name: version(name) for name in names}


@cache
def _training_code(method: str) -> str:
    """Version the modules that settle what a training run of a method computes."""
    shared = [f"arb_suite.{name}" for name in TRAINING_MODULES]
    own = dependencies(f"arb_suite.methods.{method}")
    return code_version(*own, *shared, *(["arb_core"] if any(imports(module, "arb_core") for module in own) else []))


def listed_names(text: str, known: Iterable[str], what: str, listed: str = "") -> list[str]:
    """Return the names of a list with commas; `listed` is what a message says is known, all names if empty."""
    known = set(known)
    listed = f"known are {listed or ', '.join(sorted(known))}"
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UserError(f"unknown {what} {name!r:.200}{did_you_mean(name, sorted(known))}; {listed}")
    if not names:
        raise UserError(f"no {what} given; {listed}")
    return list(dict.fromkeys(names))


def _check_rows(runs: Sequence[Run]) -> None:
    """Refuse two runs that would stand for one row of a table."""
    rows: dict[tuple[str, str, int | None, int | None], str] = {}
    for run in runs:
        if run.variation_of:
            continue
        row = (run.dataset, run.label, run.paper_dim, None if run.paper_dim else run.training["proj_dim"])
        if row in rows:
            raise UserError(
                f"{run.dataset}.runs: {rows[row]} and {run.name} both stand for {run.label} {run.paper_dim or ''}".rstrip()
                + "; give each a label or paper_dim of its own"
            )
        rows[row] = run.name


def _check_orderings(orderings: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> None:
    named = {run.name: run for run in reversed(runs)}  # of the first data set
    cells = {place: printed_cells(FOLDER, place) for place in PLACES}
    for ordering in orderings:
        where = f"orderings: {ordering['name']}"
        for side in SIDES:
            _check_named(f"{where}: ", ordering[side], named)
            if ordering.get("main") and named[ordering[side]].variation_of:
                raise UserError(f"{where}: {ordering[side]} is a variation and not in the main table; leave main out")
            if ordering.get("main") and not ordering.get("paper", {"place": "table"})["place"].startswith("table"):
                raise UserError(f"{where}: the main table has no figures; leave main out")
            share, count = ordering.get(f"{side}_share", 1.0), named[ordering[side]].training["snapshots"]
            if share * (count or 1) % 1 > 1e-9:
                raise UserError(f"{where}: {side}_share {share} is none of the {count} snapshots of {ordering[side]}")
        sides = [(ordering[side], metric_of(ordering, side), ordering.get(f"{side}_share", 1.0)) for side in SIDES]
        if sides[0] == sides[1]:
            raise UserError(f"{where}: both sides are {sides[0][0]} in {sides[0][1]}; compare two things")
        if "paper" in ordering:
            printed_sides(ordering, cells)


def _check_counterparts(counterparts: Mapping[str, Sequence[Mapping[str, Any]]], runs: Sequence[Run]) -> None:
    named = {run.name: run for run in runs if run.dataset == "digits"}
    for place, entries in counterparts.items():
        cells = printed_cells(FOLDER, place)
        for entry in entries:
            _check_named(f"counterparts.{place}: ", entry["run"], named)
            columns = entry["printed"]
            if "method" not in columns:
                raise UserError(
                    f"counterparts.{place}: {entry['run']}: printed does not say which method's cells it stands for"
                )
            if not any(is_named(cell, columns) for cell in cells):
                asked = ", ".join(f"{name} {value}" for name, value in columns.items())
                raise UserError(f"counterparts.{place}: {title(place)} has no cell with {asked}")


def _check_cells(runs: Sequence[Run]) -> None:
    """Refuse runs that are to measure cells that are not printed, or that another one measures."""
    measured: dict[tuple[str, int], str] = {}
    for run in runs:
        for place, columns in run.cells.items():
            where = f"{run.dataset}.{run.name}.cells.{place}"
            if run.dataset in EMBEDDED:
                raise UserError(f"{where}: the paper has no {run.dataset}; say in counterparts what stands beside what")
            printed = enumerate(printed_cells(FOLDER, place))
            found = [i for i, cell in printed if is_named(cell, columns | {"dataset": DATASETS[run.dataset]})]
            asked = ", ".join(f"{name} {value}" for name, value in columns.items())
            if not found:
                raise UserError(f"{where}: {title(place)} has no cell of {DATASETS[run.dataset]} with {asked}")
            for i in found:
                other = measured.setdefault((place, i), run.name)
                if other != run.name:
                    raise UserError(f"{where}: {other} measures the cell with {asked} already; name it once")


def _check_named(where: str, name: str, named: Mapping[str, Run]) -> None:
    if name not in named:
        raise UserError(f"{where}no run is called {name!r}; known are {', '.join(sorted(named))}")
