"""Renders the report from what results there are; what was not made is said, with the command that makes it."""

import argparse
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from matplotlib import pyplot as plt

from ..audit.provenance import PUBLISHED_NAMES
from ..cells import TABLES as PRINTED_TABLES
from ..cells import Cells, printed_cells
from ..code_version import commit, commit_date
from ..files import atomic_file
from ..jobs import job_parser, read_resolved, run_job
from ..plots import draw, draw_spectra
from ..printed import FOLDER, read_rows
from . import claims as of_claims
from .beside import beside
from .compared import ordering_rows, ordering_tally
from .drawings import DRAWINGS, svg
from .findings import findings
from .notation import plain, told, typeset
from .parts import Results, as_source, size_of
from .runs import overview, read_runs
from .seen import seen
from .tables import blocks, effective_ranks, side_by_side
from .trained import described, measured_on

__all__ = ["render"]

TEMPLATES = Path("workflow/report")
LEDGER = Path("proofs_checks/ledger.yaml")
COUNTEREXAMPLES = Path("proofs_checks/search/counterexamples.yaml")
TABLES = {
    "table_main": "Table 1, and the main table on bundled data",
    "table2": "Table 2",
    "table3": "Table 3",
    "table4": "Table 4",
    "table5": "Table 5",
    "table_tuned": "Customary and tuned settings",
    "table_glyphs": "A second bundled data set",
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
        ``runs``, all that are configured, ``orderings``, and ``bundled``, the settings of the bundled data; see
        `workflow.Plan`.
    version : str
        Of this suite.

    Raises
    ------
    UserError
        If a file is there and cannot be read.

    """
    outline = yaml.safe_load((TEMPLATES / "report.yaml").read_text(encoding="utf-8"))
    claims = results.table("claims.csv")
    redecided = results.table("audit_redecided.csv")
    if claims is not None:
        ledger = [entry["id"] for entry in yaml.safe_load(LEDGER.read_text(encoding="utf-8"))]
        of_claims.check_whole(claims, ledger + [row["id"] for row in read_rows(FOLDER / "claims.csv")])
    orderings = results.table("orderings.csv")
    if orderings is None:
        orderings = results.table("orderings_main.csv")
    tallied = None if claims is None else of_claims.tally(claims, outline["readings"], outline["labels"])
    cells = results.table("audit_cells.csv")
    printed = {place: printed_cells(FOLDER, place) for place in PRINTED_TABLES}
    decided = None if claims is None else of_claims.as_shown(of_claims.with_steps(claims, LEDGER), outline["labels"])
    rows, remarks = None, list[str]()
    if orderings is not None:
        rows, remarks = ordering_rows(orderings, plan["orderings"], plan["runs"], FOLDER, outline["remarks"])
    ranks = effective_ranks(map(results.table, ("table_main.csv", "table_tuned.csv", "table_glyphs.csv")))
    ((usual, _), *_) = Counter(run["epochs"] for run in plan["runs"] if run["dataset"] == "digits").most_common(1) or [(0, 0)]
    runs = read_runs(plan["runs"])
    shown = [f"{name}.csv" for name in (*TABLES, *outline["figures"]) if name != "spectra"]
    measured = measured_on([*map(results.table, shown), orderings])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": _duration, "anchor": _anchor, "minus": _minus}
    environment.filters |= {"typeset": typeset, "plain": plain, "told": told}
    return environment.get_template("report.html.j2").render(
        version=version,
        dated=commit_date() if version else "",
        formulas=outline["formulas"],
        verdicts=of_claims.VERDICTS,
        tally=tallied,
        no_sentences="" if tallied is None else of_claims.no_sentences(tallied),
        short=[entry["text"] for entry in findings(claims, orderings, ranks, [outline["short"]]) if entry["as_written"]],
        findings=findings(claims, orderings, ranks, outline["findings"]),
        names={row["anchor"]: row["brief"] for row in rows or []},
        chapters=None if decided is None else of_claims.chapters(decided, outline["chapters"]),
        counterexamples=of_claims.counterexamples(COUNTEREXAMPLES, outline["sides"]),
        drawings={key: _drawn(key) for key in DRAWINGS},
        tables=[
            _table(results, name, plan, printed, cells, ranks) | _decided(outline["tables"].get(name), claims, rows)
            for name in TABLES
        ],
        orderings=rows,
        remarks=remarks,
        ordered=None if rows is None else ordering_tally(rows),
        figures={
            name: _figure(results, name, entry, usual) | _decided(entry, claims, rows)
            for name, entry in outline["figures"].items()
        },
        audits={name: _rows(results, f"audit_{name}.csv") for name in AUDITS},
        redecided=None if redecided is None else of_claims.redecided(redecided),
        runs=runs,
        run_places={run["place"] for run in runs},
        overview=overview(runs),
        measured=measured,
        bundled=described(plan["bundled"], measured["datasets"] if measured else []),
        missing=results.missing,
    )


@cache
def _drawn(key: str) -> dict[str, Any]:
    drawing = DRAWINGS[key]()
    source = as_source(svg(drawing.figure).encode())
    return {
        "source": source,
        "size": size_of(source),
        "title": drawing.title,
        "caption": drawing.caption,
        "alt": drawing.alt,
    }


def _table(
    results: Results,
    name: str,
    plan: Mapping[str, Any],
    printed: Cells,
    audited: pd.DataFrame | None,
    ranks: Mapping[str, str],
) -> dict[str, Any]:
    table = results.table(f"{name}.csv")
    if table is None:
        return {"name": name, "title": TABLES[name], "blocks": None}
    bold = [cell for cell in printed.get(name.replace("table_main", "table1"), ()) if cell["bold"] == "1"]
    found = blocks(table, audited, ranks, bold, beside(name, plan, printed))
    return {"name": name, "title": TABLES[name], "blocks": side_by_side(found)}


def _decided(
    entry: Mapping[str, Any] | None, claims: pd.DataFrame | None, orderings: Sequence[Mapping[str, Any]] | None
) -> dict[str, Any]:
    """Return the claims about a table or figure and its orderings on one data set, each with its verdict."""
    entry = {"claims": [], "orderings": [], "without": [], "dataset": "digits"} | dict(entry or {})
    verdicts = {} if claims is None else dict(zip(claims["id"], claims["verdict"], strict=True))
    return {
        "links": [{"id": identity, "verdict": verdicts[identity]} for identity in entry["claims"] if identity in verdicts],
        "dataset": entry["dataset"],
        "ordered": [
            {"id": row["claim"], "anchor": row["anchor"], "verdict": row["verdict"]}
            for row in orderings or ()
            if row["family"] in entry["orderings"]
            and row["dataset"] == entry["dataset"]
            and row["claim"].removesuffix(".tuned") not in entry["without"]
        ],
    }


def _figure(
    results: Results,
    name: str,
    entry: Mapping[str, Any],
    usual: int,
) -> dict[str, Any]:
    of_paper = name.startswith("fig")
    title = f"Fig. {name[3:]}" if of_paper else "Singular values along the training"
    says = entry["says"].strip()
    table, shown, more, narrow = results.table(f"{name}.csv"), "", "", None
    if table is not None:
        shown, more = seen(name, table, results.table("orderings.csv"), usual)
        drawn = _narrow(name, table)
        narrow = {"source": drawn, "size": size_of(drawn)}
    source = results.picture(f"{name}.svg")
    where = " The paper's curves above, those measured on the bundled data below." if of_paper else ""
    return {
        "name": name,
        "title": title,
        "says": says,
        "seen": shown,
        "more": more,
        "alt": f"{title}: {says}{where} {re.split(r'; |[.] (?=[A-Z])', shown)[0]}".rstrip(". ") + ".",
        "source": source,
        "size": size_of(source),
        "narrow": narrow,
    }


def _narrow(name: str, table: pd.DataFrame) -> str:
    """Draw a figure once more, for narrow screens, where that of the results would have to be scrolled."""
    if name == "spectra":
        figure = draw_spectra(table.astype({"epoch": int, "index": int, "singular_value": float}), narrow=True)
    else:
        figure = draw(name, table, narrow=True)
    source = as_source(svg(figure).encode())
    plt.close(figure)
    return source


def _rows(results: Results, name: str) -> list[dict[str, str]] | None:
    table = results.table(name)
    if table is None:
        return None
    if "variant" in table:
        table["variant"] = table["variant"].replace(["asymmetric", "symmetric"], "")  # the method tells it
    if name == "audit_sizes.csv":
        table["fit"] = table.apply(_fit, axis="columns")
    for column in ("nearest_below", "nearest_above"):
        if column in table:
            table[column] = [f"{float(value):.2f}" for value in table[column]]
    for column in ("method", "rows", "series"):
        if column in table:
            table["name"] = table[column] + ", " + table["dataset"]
    if "source" in table:
        several = table[table["source"] != ""].groupby("method")["proj_dim"].nunique()
        table["source"] = [_against(row, set(several.index[several > 1])) for row in table.to_dict("records", into=dict)]
    return table.to_dict("records", into=dict)


def _fit(row: Mapping[str, str]) -> str:
    """Return the reading of a size that was found; numbers that it explains may be possible with the size stated too."""
    possible = row["accuracies"] == row["attainable_over_nominal_n"]
    if not row["fit"].endswith("not the nominal size") or not possible:
        return row["fit"]
    multiple = int(row["nominal_n"]) % int(row["n"]) == 0
    because = ", a multiple of it: whatever is possible with the smaller size is with the larger one too" if multiple else ""
    return f"no coincidence, and no proof by the digits alone: {row['nominal_n']} images give the numbers too{because}"


def _against(row: Mapping[str, str], several: Collection[str]) -> str:
    """Say what a baseline's cell is set against, where the library's row has another name or no dimension."""
    said = [row["source"]] * bool(row["source"])
    name = PUBLISHED_NAMES.get(row["method"], row["method"])
    if said and name.casefold() != row["method"].casefold():
        said.append(f"the library's row is {name}")
    if said and row["method"] in several:
        said.append("the library's row names no dimension")
    return "; ".join(said)


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
