"""What the Snakefile needs to know: the runs of the configuration, as the rules ask for them."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .cells import TABLES, printed_file
from .code_version import code_version
from .gpus import visible_gpus
from .jobs import PARENT, UserError, stop
from .printed import FOLDER, Printed
from .settings import DATASETS, EMBEDDED, TRAINING_MODULES, Run, listed_names, plan_runs
from .variations import tuned_name, with_likes
from .workloads import entries, workloads

__all__ = ["Plan"]

# Of `--config download=true` snakemake makes a text, and of `True` alone what is meant
WORDS = {"true": True, "false": False}


class Plan:
    """
    The runs of the configuration, as the rules ask for them.

    Parameters
    ----------
    config : mapping
        Snakemake's configuration.

    Raises
    ------
    SystemExit
        On any configuration that cannot be run, with one sentence.

    """

    def __init__(self, config: Mapping[str, Any]):
        config = {key: WORDS.get(value, value) if isinstance(value, str) else value for key, value in config.items()}
        try:
            self.configured = plan_runs(config)
            self.report_parts = _report_parts(config)
        except UserError as error:
            stop(str(error))
        self.runs = [run for run in self.configured if run.selected]
        self.config = with_likes(config)
        self._by_place = {(run.dataset, run.name): run for run in self.configured}
        if Path("results").exists() and not Path("results").is_dir():
            stop("results is a file, but it has to be the folder of the results; move it away")
        # Jobs use the interpreter that runs the workflow, active or not, and the code of the clone that one stands in,
        # wherever the installed one lies; and they end with this process.
        paths = {"PATH": [str(Path(sys.executable).parent)], "PYTHONPATH": [str(Path("workflow").resolve()), str(Path.cwd())]}
        for variable, first in paths.items():
            rest = os.environ.get(variable)
            os.environ[variable] = os.pathsep.join(first + ([rest] if rest else []))
        os.environ[PARENT] = str(os.getpid())

    def names(self) -> dict[str, str]:
        """Return, for each wildcard of the rules, a regular expression that matches the names of the plan alone."""
        runs = {run.name: None for run in self.runs} | {run.chosen_on: None for run in self.runs if run.chosen_on}
        return {
            "dataset": "|".join({run.dataset: None for run in self.runs}),
            "run": "|".join(runs),
            "seeds": "|".join({chunk: None for run in self.runs for chunk in run.chunks}),
        }

    def run(self, wildcards: Any) -> Run:
        """Return the run of a rule's wildcards."""
        return self._by_place[wildcards.dataset, wildcards.run]

    def training(self, wildcards: Any) -> str:
        """Return the training settings of a rule's wildcards as JSON, or those of which one is chosen."""
        run = self.run(wildcards)
        return _json(run.candidates if run.chosen_on else run.training)

    def choice(self, wildcards: Any) -> list[str]:
        """Return the file that says which of the candidates was chosen, where there are any."""
        return _choice_of(self.run(wildcards))

    def grid(self, wildcards: Any) -> str:
        """Return what a run is tried with and how that is judged, as JSON."""
        (tuned,) = (
            run
            for run in self.configured
            if run.dataset == wildcards.dataset and run.variation_of == run.chosen_on == wildcards.run
        )
        tuning = self.config[wildcards.dataset]["tuning"]
        without = {"fit_on": tuning["fit_on"], "snapshots": 0, "trace": False}
        return _json(
            {
                "candidates": [
                    {"setting": setting, "training": training | without} for setting, training in tuned.candidates.items()
                ],
                "evaluation": tuned.evaluation | {"score_on": tuning["score_on"]},
                "seeds": tuning["seeds"],
                "metric": tuning["metric"],
                "code": code_version("arb_suite.tune"),
            }
        )

    def trials(self) -> list[str]:
        """Return the files of all trials that are asked for."""
        return list(dict.fromkeys(path for run in self.runs for path in _choice_of(run)))

    def evaluation(self, wildcards: Any) -> str:
        """Return the evaluation settings of a rule's wildcards as JSON."""
        return _json(self.run(wildcards).evaluation)

    def threads(self, wildcards: Any) -> int:
        """Return the threads that a run of a rule's wildcards uses, in all of its processes."""
        threads: int = self.run(wildcards).training["threads"]
        return threads * self.processes(wildcards)

    def processes(self, wildcards: Any) -> int:
        """Return how many processes share the batches of a run of a rule's wildcards."""
        return 1 if self.run(wildcards).dataset in EMBEDDED else self.config["processes"]

    def gpus(self, wildcards: Any) -> int:
        """Return how many GPUs a run of a rule's wildcards takes where there are any."""
        return 0 if self.run(wildcards).training["compute"]["device"] == "cpu" else self.processes(wildcards)

    def data(self, dataset: str) -> str:
        """Return the data settings of a data set as JSON."""
        modules: tuple[str, ...] = ("renders", dataset)
        if dataset not in EMBEDDED:
            modules = ("folders", "cifar") if dataset.startswith("cifar") else ("folders", "image_files", "imagefolder")
        how = {"download": self.config["download"]} if dataset.startswith("cifar") else {}
        return _json({**self.config[dataset]["data"], **how, "code": code_version(*(f"arb_suite.{name}" for name in modules))})

    def data_root(self) -> str:
        """Return the folder that holds the paper's data sets."""
        return self.config["data_root"] or ""

    def root_option(self, wildcards: Any) -> str:
        """Return the option that tells the training where the files of a data set are, which one of the paper's may need."""
        return "" if wildcards.dataset in EMBEDDED else f"--root {shlex.quote(self.data_root())}"

    @staticmethod
    def reader(dataset: str, threads: int) -> str:
        """Return the job that verifies one of the paper's data sets, with its own options."""
        return "cifar" if dataset.startswith("cifar") else f"imagefolder --workers {threads}"

    def metrics(self, place: str = "table1") -> list[str]:
        """Return the metrics files of the runs of a table or figure."""
        return [path for run in self._runs_of(place) if run.selected for path in _files_of(run, "metrics.csv")]

    def all_metrics(self) -> list[str]:
        """Return the metrics files of all runs."""
        return [path for run in self.runs for path in _files_of(run, "metrics.csv")]

    def choices(self, place: str) -> list[str]:
        """Return the choices of settings behind the runs of a table or figure."""
        return list(dict.fromkeys(path for run in self._runs_of(place) if run.selected for path in _choice_of(run)))

    def trainings(self, place: str) -> list[str]:
        """Return the records of training that a table or figure draws from."""
        return [
            path for run in self._runs_of(place) if run.selected and place == "fig3" for path in _files_of(run, "training.json")
        ]

    def traced(self) -> list[str]:
        """Return the records of training of all runs that were traced."""
        return [path for run in self.runs if run.training["trace"] for path in _files_of(run, "training.json")]

    def tables(self) -> str:
        """Return what the main table needs to know of the plan, as JSON."""
        shown = [ordering for ordering in self.config["orderings"] if ordering.get("main")]
        modules = ("cells", "measured", "orderings", "page", "statistics", "tables")
        return self._with_runs(self._runs_of("table1"), modules, orderings=shown)

    def tuned_table(self) -> str:
        """Return what the table of tuned settings needs to know of the plan, as JSON."""
        return self._with_runs(self._runs_of("tuned"), ("measured", "page", "statistics", "tables", "tuned"))

    def glyphs_table(self) -> str:
        """Return what the table of the second embedded data set needs to know of the plan, as JSON."""
        return self._with_runs(self._runs_of("glyphs"), ("embedded", "measured", "statistics", "tables"))

    def counterpart(self, place: str) -> str:
        """Return what another table or figure needs to know of the plan, as JSON."""
        modules = ("cells", "counterparts", "measured", "statistics", "tables")
        return self._with_runs(self._runs_of(place), modules, entries=self._entries(place))

    def spectra(self) -> str:
        """Return what the singular values over the training need to know of the plan, as JSON."""
        return self._with_runs(self._evaluated_along(), ("spectra",))

    def spectra_predictions(self) -> list[str]:
        """Return the predictions of the runs that are evaluated along their training, which hold the singular values."""
        return [path for run in self._evaluated_along() for path in _files_of(run, "predictions.npz")]

    def report(self) -> str:
        """Return what the report needs to know of the plan, as JSON."""
        modules = ("cells", "orderings", "page", "plots", "report")
        bundled = {name: self.config[name] for name in EMBEDDED}
        counterparts = {place: self._entries(place) for place in self.config["counterparts"] if place in TABLES}
        more = {"orderings": self.config["orderings"], "bundled": bundled, "counterparts": counterparts}
        return self._with_runs(self.configured, modules, **more)

    def orderings(self) -> str:
        """Return what the orderings need to know of the plan, as JSON."""
        modules = ("cells", "measured", "orderings", "page", "statistics")
        return self._with_runs(self.configured, modules, orderings=self.config["orderings"])

    def workloads(self) -> str:
        """Return the kinds of runs that take a time of their own, by key, as JSON."""
        modules = ("arb_core", "arb_suite.methods", "arb_suite.throughput", *(f"arb_suite.{name}" for name in TRAINING_MODULES))
        return _json({"workloads": workloads(self.runs), "code": code_version(*modules)})

    @staticmethod
    def machine() -> str:
        """Return what tells this machine from others: its name, cores and visible GPUs."""
        try:
            gpus = visible_gpus()
        except UserError as error:
            stop(str(error))
        return f"{platform.node()}, {os.cpu_count()} cores, GPUs: {', '.join(gpus) or 'none'}"

    def costs(self) -> str:
        """Return what the estimate of costs needs to know of the plan, as JSON."""
        places = {"table_main": "table1", "table_tuned": "tuned", "table_glyphs": "glyphs"}
        places |= {place: place for place in self.config["counterparts"]}
        targets = {target: self._runs_of(place) for target, place in places.items()}
        counted = entries(self.runs, self.configured, self.config, targets)
        return _json({"runs": counted, "code": code_version("arb_suite.plan")})

    @staticmethod
    def plots() -> str:
        """Return the version of the code that draws."""
        return code_version("arb_suite.plots", "arb_suite.cells")

    def _entries(self, place: str) -> list[Mapping[str, Any]]:
        """Return which run stands where, with the tuned runs after the others where the place shows them."""
        entries: list[Mapping[str, Any]] = self.config["counterparts"][place]
        if place not in self.config["digits"].get("tuning", {"places": []})["places"]:
            return entries
        tuned = [{**entry, "run": tuned_name(entry["run"])} for entry in entries]
        return entries + [entry for entry in tuned if entry["run"] in {run.name for run in self.configured}]

    def _runs_of(self, place: str) -> list[Run]:
        if place == "table1":
            return [run for run in self.configured if run.variation_of is None and run.dataset != "glyphs"]
        if place == "glyphs":
            return [run for run in self.configured if run.dataset == "glyphs"]
        if place == "tuned":  # every run that has a grid of its own, and the same tuned
            tuned = {(run.dataset, run.chosen_on) for run in self.configured if run.chosen_on}
            return [
                run
                for run in self.configured
                if (run.dataset, run.name) in tuned or (run.chosen_on and run.variation_of == run.chosen_on)
            ]
        names = {entry["run"] for entry in self._entries(place)}
        return [run for run in self.configured if (run.dataset == "digits" and run.name in names) or place in run.cells]

    def _evaluated_along(self) -> list[Run]:
        """Return the runs on the digits, as configured, whose embeddings are looked at along the training."""
        return [
            run
            for run in self.runs
            if run.dataset == "digits" and run.variation_of is None and run.training["snapshots"] and run.training["proj_dim"]
        ]

    def _with_runs(self, runs: Sequence[Run], modules: Sequence[str], **more: Any) -> str:
        code = code_version(*(f"arb_suite.{name}" for name in modules))
        return _json({"runs": [self._entry(run) for run in runs], **more, "code": code})

    @staticmethod
    def printed_file(place: str) -> Path:
        """Return the file of the printed numbers of a table or figure."""
        return printed_file(FOLDER, place)

    @staticmethod
    def printed() -> list[str]:
        """Return the names of the files of printed data."""
        return [field.name for field in fields(Printed)]

    def audit(self) -> str:
        """Return what the audit needs to know: the settings of the suite's ARB on the embedded data, as JSON."""
        run = next(run for run in self.configured if run.dataset == "digits" and run.training["method"] == "arb")
        code = code_version("arb_suite.audit", "arb_suite.cells", "arb_suite.printed", "arb_suite.statistics")
        return _json({**run.training, **run.evaluation, "code": code, "theory": self.theory()})

    @staticmethod
    def theory() -> str:
        """Return the version of the code that decides the theory."""
        trained = (f"arb_suite.{name}" for name in TRAINING_MODULES)  # collapse trains with the suite's own loop
        return code_version("proofs_checks", "arb_core", "arb_suite.evaluate", "arb_suite.methods", *trained)

    def drift(self) -> str:
        """Return the settings of the runs that are looked at along the training, and the version of what trains, as JSON."""
        runs = {run.name: {"training": run.training, "score_on": run.evaluation["score_on"]} for run in self._evaluated_along()}
        return _json({"runs": runs, "code": [code_version("arb_suite.drift"), self.theory()]})

    def whole(self) -> str:
        """Return the configuration as JSON."""
        return _json(self.config)

    def _entry(self, run: Run) -> dict[str, Any]:
        data, score_on = self.config[run.dataset]["data"], run.evaluation["score_on"]
        n_eval = data["sources"][score_on]
        images = f"{n_eval} {score_on} {run.dataset}"
        if "renders" in data:
            images += f" of {data['renders']} render{'s' if data['renders'] > 1 else ''} each"
        elif data["generated"]:
            images = f"{n_eval} GENERATED images in the format of {DATASETS[run.dataset]}"
        options = ", ".join(f"{name} {value}" for name, value in run.training["options"].items())
        name = f"{run.name} ({options})" if options and not run.chosen_on else run.name
        return {
            "dataset": run.dataset,
            "name": run.name,
            "label": run.label,
            "variant": run.variant,
            "paper_dim": run.paper_dim,
            "proj_dim": run.training["proj_dim"],
            "epochs": run.training["epochs"],
            "batch_size": run.training["batch_size"],
            "groups": run.training["options"].get("groups", 1),
            "trace": run.training["trace"],
            "n_eval": n_eval,
            "protocol": f"run {name}: mean over seeds, {images}",
            "embedded": run.dataset in EMBEDDED,
            "generated": data.get("generated", False),
            "cells": run.cells,
            "remark": "" if run.chosen_on else run.remark,
            "chosen_on": run.chosen_on,
            "snapshots": run.training["snapshots"],
            "tuned_of": run.variation_of if run.chosen_on else None,
            "choice": _choice_of(run),
            "metrics": _files_of(run, "metrics.csv"),
            "predictions": _files_of(run, "predictions.npz"),
            "trainings": _files_of(run, "training.json"),
            "selected": run.selected,
        }

    def epochs(self, jobs: Iterable[tuple[str, Any]]) -> int:
        """Count the epochs of jobs, which are given by their rule and wildcards."""
        count = 0
        for rule, wildcards in jobs:
            if rule == "train":
                run = self.run(wildcards)
                count += run.training["epochs"] * len(run.seeds_of_chunks[run.chunks.index(wildcards.seeds)])
            elif rule == "tune":
                grid = json.loads(self.grid(wildcards))
                count += grid["seeds"] * sum(candidate["training"]["epochs"] for candidate in grid["candidates"])
        return count


def _report_parts(config: Mapping[str, Any]) -> list[str]:
    """Return the files that the report waits for; others it takes as they lie there, or says that they are missing."""
    places = config["counterparts"]
    parts = {
        "claims": ["claims.csv"],
        "table_main": ["table_main.csv"],
        "tables": [f"{place}.csv" for place in places if place.startswith("table")],
        "figures": [*(f"{place}.svg" for place in places if place.startswith("fig")), "spectra.svg"],
        "tuned": ["table_tuned.csv"],
        "glyphs": ["table_glyphs.csv"],
        "orderings": ["orderings.csv"],
    }
    asked = listed_names(config["report"], parts, "part of the report") if config["report"] else parts
    return [f"results/{file}" for part in asked for file in parts[part]]


def _files_of(run: Run, name: str) -> list[str]:
    return [f"results/runs/{run.dataset}/{run.name}/seeds{chunk}/{name}" for chunk in run.chunks]


def _choice_of(run: Run) -> list[str]:
    return [f"results/tuning/{run.dataset}/{run.chosen_on}.json"] if run.chosen_on else []


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
