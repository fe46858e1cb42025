"""The claims as the report shows them: counted, found by their IDs, in chapters, and the findings that matter most."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from proofs_checks.smallest import SMALLEST

from ..jobs import UserError

__all__ = ["SOURCES", "VERDICTS", "chapters", "check_whole", "counterexamples", "findings", "summary", "tally", "with_steps"]

# In the order of the report, with what they are to a reader
VERDICTS = {
    "holds": "true as stated, in the reading given",
    "conditional": "true under a condition that the paper does not state",
    "refuted": "false, with a counterexample or the arithmetic",
    "ill-posed": "not defined as stated",
    "inconclusive": "searched for counterexamples in vain, and not proved",
}
SOURCES = {
    "printed": "printed in the paper",
    "implied": "implied by its tables or bold type",
    "ours": "this suite's own",
}


def check_whole(claims: pd.DataFrame, identities: Sequence[str]) -> None:
    """Refuse a table of claims that lacks any of those that there are, or has a verdict that is none."""
    missing = [identity for identity in identities if identity not in set(claims["id"])]
    unknown = sorted(set(claims["verdict"]) - set(VERDICTS))
    if missing or unknown:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        what = f"lacks {', '.join(missing[:3])}{more}" if missing else f"has the verdict {', '.join(map(repr, unknown))}"
        raise UserError(f"claims.csv {what}; delete it and give the command again")


def tally(claims: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, by source, how many claims have each verdict, in the order of `SOURCES` and `VERDICTS`."""
    counted = []
    for source, meaning in SOURCES.items():
        verdicts = claims.loc[claims["source"] == source, "verdict"]
        counts = {verdict: int((verdicts == verdict).sum()) for verdict in VERDICTS}
        counted.append({"source": source, "meaning": meaning, "counts": counts, "total": len(verdicts)})
    return counted


def with_steps(claims: pd.DataFrame, ledger: Path) -> pd.DataFrame:
    """Return the claims with ``fails``, the step of the paper's argument that does not follow, apart from the correction."""
    steps = {entry["id"]: entry["fails"] for entry in yaml.safe_load(ledger.read_text(encoding="utf-8")) if "fails" in entry}

    def apart(claim: Mapping[str, str]) -> dict[str, str]:
        step = steps.get(claim["id"], "")
        begins = f"what fails: {step}"
        if not step or not claim["correction"].startswith(begins):  # as of a claim that is true after all
            return {**claim, "fails": ""}
        return {**claim, "fails": step, "correction": claim["correction"].removeprefix(begins).removeprefix("; ")}

    return pd.DataFrame(map(apart, claims.to_dict("records")))


def chapters(claims: pd.DataFrame, outline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Put the claims of theory into chapters.

    Parameters
    ----------
    claims : pandas.DataFrame
        ``results/claims.csv``.
    outline : sequence of mapping
        ``title``, ``says``, ``claims`` (patterns of IDs, matched whole) and
        ``drawings``.

    Raises
    ------
    UserError
        If a claim has no chapter, or several.

    """
    found = [entry | {"claims": []} for entry in map(dict, outline)]
    for claim in claims.to_dict("records"):
        places = [
            chapter
            for chapter, entry in zip(found, outline, strict=True)
            if any(re.fullmatch(pattern, claim["id"]) for pattern in entry["claims"])
        ]
        if len(places) != 1:
            raise UserError(f"claim {claim['id']} has {len(places)} chapters in workflow/report/report.yaml; give it one")
        places[0]["claims"].append(claim)
    return found


def findings(
    claims: pd.DataFrame | None, orderings: pd.DataFrame | None, outline: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """
    Say what matters most, as it was decided.

    Parameters
    ----------
    claims, orderings : pandas.DataFrame or None
        ``results/claims.csv`` and ``results/orderings.csv``; None where they were not
        made.
    outline : sequence of mapping
        ``title`` and ``statements``, each with ``claims`` or ``orderings``, IDs, and
        ``says``: by verdict, what is said if all of them have it. There,
        ``{ID[column]}`` stands for a value, dots of the ID written as underscores.

    Returns
    -------
    list of dict
        ``title``, ``text`` and ``links``, each with ``id`` and ``verdict``. Of
        statements about what was not decided there is nothing.

    """
    found = []
    for entry in outline:
        text, links = [], []
        for statement in entry["statements"]:
            rows = _rows_of(statement, claims, orderings)
            if rows is None:
                continue
            verdicts = {row["verdict"] for row in rows.values()}
            template = statement["says"].get(verdicts.pop()) if len(verdicts) == 1 else None
            values = {identity.replace(".", "_"): row for identity, row in rows.items()}
            verdict_of_each = "; ".join(f"{identity}: {row['verdict']}" for identity, row in rows.items()) + "."
            text.append(verdict_of_each if template is None else template.format(**values))
            links += [{"id": identity, "verdict": row["verdict"]} for identity, row in rows.items()]
        if text:
            found.append({"title": entry["title"], "text": " ".join(text), "links": links})
    return found


def _rows_of(
    statement: Mapping[str, Any], claims: pd.DataFrame | None, orderings: pd.DataFrame | None
) -> dict[str, dict[str, str]] | None:
    """Return what a statement rests on, by ID, or None if any of it was not decided; of an ordering, the first data set."""
    table, key = (claims, "id") if "claims" in statement else (orderings, "claim")
    asked = statement.get("claims", statement.get("orderings"))
    if table is None:
        return None
    rows = {row[key]: row for row in reversed(table.to_dict("records"))}
    decided = all(each in rows and rows[each]["verdict"] != "not run" for each in asked)
    return {each: rows[each] for each in asked} if decided else None


def summary(claims: pd.DataFrame, orderings: pd.DataFrame, outline: Sequence[Mapping[str, Any]]) -> str:
    """Return the tally and the findings as Markdown."""
    lines = [f"| claims | {' | '.join(VERDICTS)} |", "|---|" + "---:|" * len(VERDICTS)]
    for row in tally(claims):
        lines.append(f"| {row['meaning']} | {' | '.join(str(row['counts'][verdict]) for verdict in VERDICTS)} |")
    lines.append("")
    for i, finding in enumerate(findings(claims, orderings, outline), 1):
        ids = ", ".join(f"`{link['id']}`" for link in finding["links"])
        text = finding["text"].replace("_", r"\_")
        lines.append(f"{i}. **{finding['title']}.** {text} ({ids})")
    return "\n".join(lines) + "\n"


def counterexamples(path: Path, sides: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """
    Return the smallest counterexample of each claim that has one.

    Parameters
    ----------
    path : Path
        Those that were found by search, as YAML.
    sides : mapping
        By claim, the two sides of the inequality that they violate.

    Returns
    -------
    dict of dict
        By claim: ``matrices``, pairs of a name and its rows; ``says``, lines on what
        is seen.

    """
    found = {claim: asdict(shown()) for claim, shown in SMALLEST.items()}
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        if entry["statement"] == "printed":
            names = ["Z^A", "Z^B"] if len(entry["views"]) > 1 else ["Z"]
            left, right = sides[entry["claim"]]
            found[entry["claim"]] = {
                "matrices": list(zip(names, entry["views"], strict=True)),
                "says": [
                    "raw embeddings, rows are samples; scaled by Eq. 7 they have",
                    *(f"{left} = {side['left']}, above {right} = {side['right']} ({side['part']})" for side in entry["sides"]),
                ],
            }
    return found
