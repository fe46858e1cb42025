"""Renders the report from what results there are; what was not made is said, with the command that makes it."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from ..code_version import commit
from ..files import atomic_file
from ..jobs import job_parser, read_resolved, run_job
from ..printed import FOLDER, read_rows
from . import claims as of_claims
from .drawings import DRAWINGS, svg
from .notation import typeset
from .parts import Results, as_source
from .runs import overview, read_runs
from .tables import blocks, ordering_rows, ordering_tally

__all__ = ["render"]

TEMPLATES = Path("workflow/report")
LEDGER = Path("proofs_checks/ledger.yaml")
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
AUDITS = ("cells", "published", "sizes", "settings")


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
    if claims is not None:
        ledger = [entry["id"] for entry in yaml.safe_load(LEDGER.read_text(encoding="utf-8"))]
        of_claims.check_whole(claims, ledger + [row["id"] for row in read_rows(FOLDER / "claims.csv")])
    orderings = results.table("orderings.csv")
    if orderings is None:
        orderings = results.table("orderings_main.csv")
    cells = results.table("audit_cells.csv")
    decided = None if claims is None else of_claims.with_steps(claims, LEDGER)
    rows = None if orderings is None else ordering_rows(orderings)
    runs = read_runs(plan["runs"])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": _duration, "anchor": _anchor, "typeset": typeset, "minus": _minus}
    return environment.get_template("report.html.j2").render(
        version=version,
        verdicts=of_claims.VERDICTS,
        tally=None if claims is None else of_claims.tally(claims),
        findings=of_claims.findings(claims, orderings, outline["findings"]),
        chapters=None if decided is None else of_claims.chapters(decided, outline["chapters"]),
        counterexamples=of_claims.counterexamples(COUNTEREXAMPLES, outline["sides"]),
        drawings={key: _drawn(key) for key in DRAWINGS},
        tables=[_table(results, name, title, cells) for name, title in TABLES.items()],
        orderings=rows,
        ordered=None if rows is None else ordering_tally(rows),
        figures={name: _figure(results, name, entry, claims, rows) for name, entry in outline["figures"].items()},
        audits={name: _rows(results, f"audit_{name}.csv") for name in AUDITS},
        runs=runs,
        run_places={run["place"] for run in runs},
        overview=overview(runs),
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


def _figure(
    results: Results,
    name: str,
    entry: Mapping[str, Any],
    claims: pd.DataFrame | None,
    orderings: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    of_paper = name.startswith("fig")
    title = f"Fig. {name[3:]}" if of_paper else "Singular values along the training"
    where = " The paper's curves above, those measured on the embedded data below." if of_paper else ""
    verdicts = {} if claims is None else dict(zip(claims["id"], claims["verdict"], strict=True))
    links = [{"id": identity, "verdict": verdicts[identity]} for identity in entry["claims"] if identity in verdicts]
    links += [
        {"id": row["claim"], "verdict": row["verdict"]}
        for row in orderings or ()
        if row["claim"].startswith(f"{entry['orderings']}.") and row["dataset"] == "digits"
    ]
    says = entry["says"].strip()
    alt = f"{title}: {says}{where}"
    return {"name": name, "title": title, "says": says, "alt": alt, "links": links, "source": results.picture(f"{name}.svg")}


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


def _minus(number: Any) -> str:
    """Return numbers with the sign that is as wide as a plus, as they stand in tables."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", str(number))


def work(options: argparse.Namespace, report: Callable[[str], None]) -> None:
    """Write the report."""
    page = render(Results(options.results), read_resolved(options.plan), commit())
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
