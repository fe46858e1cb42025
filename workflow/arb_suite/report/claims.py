"""The claims as the report shows them: counted, found by their IDs, in chapters, and the findings that matter most."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from proofs_checks.smallest import SMALLEST

from ..jobs import UserError
from .tables import METRICS

__all__ = [
    "SOURCES",
    "VERDICTS",
    "as_shown",
    "chapters",
    "check_whole",
    "counterexamples",
    "deciding",
    "findings",
    "summary",
    "tally",
    "with_steps",
]

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
# Characters: of brackets, those that are longer are lists; of evidence, what is longer is folded
LONG_BRACKETS, LONG_LIST, LONG_PROOF = 60, 600, 900


def check_whole(claims: pd.DataFrame, identities: Sequence[str]) -> None:
    """Refuse a table of claims that lacks any of those that there are, or has a verdict that is none."""
    missing = [identity for identity in identities if identity not in set(claims["id"])]
    unknown = sorted(set(claims["verdict"]) - set(VERDICTS))
    if missing or unknown:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        what = f"lacks {', '.join(missing[:3])}{more}" if missing else f"has the verdict {', '.join(map(repr, unknown))}"
        raise UserError(f"claims.csv {what}; delete it and give the command again")


def tally(claims: pd.DataFrame, readings: Sequence[str]) -> list[dict[str, Any]]:
    """
    Count claims, in the order of `SOURCES` and `VERDICTS`.

    Parameters
    ----------
    claims : pandas.DataFrame
        ``results/claims.csv``.
    readings : sequence of str
        Patterns: claims whose IDs match one, whole, are readings of one statement.

    Returns
    -------
    list of dict
        By source: ``counts``, how many have each verdict; ``statements``, of how many
        statements these are readings; ``total`` and ``total_statements``.

    """
    statement = claims["id"].map(lambda identity: next((each for each in readings if re.fullmatch(each, identity)), identity))
    counted = []
    for source, meaning in SOURCES.items():
        of_source = claims["source"] == source
        by_verdict = {verdict: statement[of_source & (claims["verdict"] == verdict)] for verdict in VERDICTS}
        counted.append(
            {
                "source": source,
                "meaning": meaning,
                "counts": {verdict: len(found) for verdict, found in by_verdict.items()},
                "statements": {verdict: found.nunique() for verdict, found in by_verdict.items()},
                "total": int(of_source.sum()),
                "total_statements": statement[of_source].nunique(),
            }
        )
    return counted


def as_shown(claims: pd.DataFrame, labels: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """
    Return the claims with two columns more, each empty where there is no need of it.

    ``label`` is what has to be said of the source that a claim is counted under; in `labels`,
    ``{claim[column]}`` stands for a value of the claim. ``short`` is what of long evidence decides.
    """
    said = {identity: entry["says"].strip() for entry in labels for identity in entry["claims"]}
    rows = claims.to_dict("records")
    for row in rows:
        of_numbers = row["check"].startswith("arb-audit")
        long = len(row["evidence"]) > (LONG_LIST if of_numbers else LONG_PROOF)
        row |= {
            "label": said.get(row["id"], "").format(claim=row),
            "short": deciding(row["evidence"]) if long else "",
        }
    return pd.DataFrame(rows)


def deciding(evidence: str) -> str:
    """
    Return what of long evidence decides: its first clauses, without the lists that stand in brackets or behind a colon.

    Examples
    --------
    >>> deciding("2 of 3 do: A 1 against 2, B 3 against 4; the third (C 5 against 6, D 7 against 8, E 9) does not. More.")
    '2 of 3 do; the third does not.'

    """
    text = re.sub(
        r" \([^()]*(?:\([^()]*\)[^()]*)*\)", lambda found: found[0] if len(found[0]) <= LONG_BRACKETS else "", evidence
    )
    sentence = re.split(r"(?<=[a-z)\]\d])\. (?=[A-Z])", text)[0].removesuffix(".")
    return "; ".join(re.split(r": (?=[A-Z])", clause)[0] for clause in sentence.split("; ")) + "."


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
    claims: pd.DataFrame | None,
    orderings: pd.DataFrame | None,
    ranks: Mapping[str, str],
    outline: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """
    Say what matters most, a sentence each, as it was decided.

    Parameters
    ----------
    claims, orderings : pandas.DataFrame or None
        ``results/claims.csv`` and ``results/orderings.csv``; None where they were not
        made.
    ranks : mapping
        From `tables.effective_ranks`.
    outline : sequence of mapping
        ``title``; ``claims`` and ``orderings``, the IDs by the verdict that ``says`` is written
        for; ``runs``, by name in ``says`` the place of a run. In ``says``,
        ``{ID[column]}`` stands for a value, dots of the ID written as underscores, and
        the name of a run for its effective rank.

    Returns
    -------
    list of dict
        ``title``, ``text`` and ``links``, each with ``id`` and ``verdict``. Where any
        verdict is another, the text names them all. Of findings about what was not
        decided there is nothing.

    """
    found = []
    for entry in outline:
        of_claims, of_orderings = (
            {identity: verdict for verdict, asked in entry.get(kind, {}).items() for identity in asked}
            for kind in ("claims", "orderings")
        )
        expected = {**of_claims, **of_orderings}
        rows = _rows_of(of_claims, claims, "id") | _rows_of(of_orderings, orderings, "claim")
        known = {name: ranks[place] for name, place in entry.get("runs", {}).items() if place in ranks}
        if len(rows) < len(expected) or len(known) < len(entry.get("runs", {})):
            continue
        links = [{"id": identity, "verdict": rows[identity]["verdict"]} for identity in expected]
        if all(rows[identity]["verdict"] == verdict for identity, verdict in expected.items()):
            text = entry["says"].format(**{identity.replace(".", "_"): row for identity, row in rows.items()}, **known)
            for metric, meaning in METRICS.items():
                text = text.replace(metric, meaning)
        else:
            text = "; ".join(f"{link['id']}: {link['verdict']}" for link in links) + "."
        found.append({"title": entry["title"], "text": text, "links": links})
    return found


def _rows_of(asked: Collection[str], table: pd.DataFrame | None, key: str) -> dict[str, dict[str, str]]:
    """Return the rows asked for that were decided, by ID; of an ordering, that on the first data set."""
    rows = {} if table is None else {row[key]: row for row in reversed(table.to_dict("records"))}
    return {identity: rows[identity] for identity in asked if identity in rows and rows[identity]["verdict"] != "not run"}


def summary(
    claims: pd.DataFrame,
    orderings: pd.DataFrame,
    ranks: Mapping[str, str],
    outline: Mapping[str, Any],
) -> str:
    """Return the tally and the findings as Markdown; `outline` is that of the report."""
    lines = [f"| readings of claims | {' | '.join(VERDICTS)} |", "|---|" + "---:|" * len(VERDICTS)]
    for row in tally(claims, outline["readings"]):
        counts = [
            f"{count}" + (f" (of {row['statements'][verdict]})" if row["statements"][verdict] != count else "")
            for verdict, count in row["counts"].items()
        ]
        lines.append(f"| {row['meaning']} | {' | '.join(counts)} |")
    lines += ["", "In brackets: of how many statements, where one can be read in several ways.", ""]
    for i, finding in enumerate(findings(claims, orderings, ranks, outline["findings"]), 1):
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
