"""Renders the report from what results there are; what was not made is said, with the command that makes it."""

import argparse
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from ..files import atomic_file
from ..jobs import job_parser, read_resolved, run_job
from ..settings import DATASETS
from . import claims as of_claims
from .drawings import DRAWINGS, svg
from .notation import typeset
from .parts import Results, as_source
from .runs import overview, read_runs
from .tables import blocks, ordering_rows

__all__ = ["render"]

TEMPLATES = Path("workflow/report")
COUNTEREXAMPLES = Path("proofs_checks/search/counterexamples.yaml")
TABLES = {
    "table_main": "Table 1, and the main table on embedded data",
    "table2": "Table 2",
    "table3": "Table 3",
    "table4": "Table 4",
    "table5": "Table 5",
    "table_tuned": "Customary and tuned settings",
    "table_glyphs": "A second embedded data set",
}
AUDITS = ("cells", "published", "places", "sizes", "settings")


def render(results: Results, plan: Mapping[str, Any], version: str) -> str:
    """
    Return the report, one HTML page that needs nothing else.

    Parameters
    ----------
    results : Results
        What there is.
    plan : mapping
        ``runs``, all that are configured; see `workflow.Plan`.
    version : str
        Of this suite.

    Raises
    ------
    UserError
        If a file is there and cannot be read.

    """
    outline = yaml.safe_load((TEMPLATES / "report.yaml").read_text(encoding="utf-8"))
    claims = results.table("claims.csv")
    orderings = results.table("orderings.csv")
    if orderings is None:
        orderings = results.table("orderings_main.csv")
    cells = results.table("audit_cells.csv")
    runs = read_runs(plan["runs"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": _duration, "anchor": _anchor, "typeset": typeset}
    return environment.get_template("report.html.j2").render(
        version=version,
        verdicts=of_claims.VERDICTS,
        tally=None if claims is None else of_claims.tally(claims),
        findings=of_claims.findings(claims, orderings, outline["findings"]),
        chapters=None if claims is None else of_claims.chapters(claims, outline["chapters"]),
        counterexamples=of_claims.counterexamples(COUNTEREXAMPLES),
        drawings={key: _drawn(key) for key in DRAWINGS},
        tables=[_table(results, name, title, cells) for name, title in TABLES.items()],
        orderings=None if orderings is None else ordering_rows(orderings),
        figures=[_figure(results, name, says) for name, says in outline["figures"].items()],
        audits={name: _rows(results, f"audit_{name}.csv") for name in AUDITS},
        runs=runs,
        run_places={run["place"] for run in runs},
        overview=overview(runs),
        datasets=DATASETS,
        missing=results.missing,
    )


def _drawn(key: str) -> dict[str, str]:
    drawing = DRAWINGS[key]()
    return {
        "source": as_source(svg(drawing.figure).encode()),
        "title": drawing.title,
        "caption": drawing.caption,
        "alt": drawing.alt,
    }


def _table(results: Results, name: str, title: str, cells: pd.DataFrame | None) -> dict[str, Any]:
    table = results.table(f"{name}.csv")
    return {"name": name, "title": title, "blocks": None if table is None else blocks(table, cells)}


def _figure(results: Results, name: str, says: str) -> dict[str, Any]:
    of_paper = name.startswith("fig")
    title = f"Fig. {name[3:]}" if of_paper else "Collapse, seen by singular values"
    where = " The paper's curves above, those measured on the embedded data below." if of_paper else ""
    alt = f"{title}: {says.strip()}{where}"
    return {"name": name, "title": title, "says": says.strip(), "alt": alt, "source": results.picture(f"{name}.svg")}


def _rows(results: Results, name: str) -> list[dict[str, str]] | None:
    table = results.table(name)
    return None if table is None else table.to_dict("records")


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _anchor(text: str) -> str:
    return text.replace("/", "-").replace(" ", "-").lower()


def _version() -> str:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""  # not a clone, or no git
    return described.strip()


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the report."""
    page = render(Results(options.results), read_resolved(options.plan), _version())
    with atomic_file(options.out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    report(f"{options.out}, {len(page.encode()) / 1e6:.1f} MB: open it in a browser")


def main() -> None:
    """Run the rule ``report``."""
    parser = job_parser("Render the report.")
    parser.add_argument("--plan", required=True, help="the runs, as JSON")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the folder of the results")
    parser.add_argument("--out", type=Path, required=True, help="the HTML file")
    run_job(work, parser)
