"""The claims as the report shows them: counted, found by their IDs, and in chapters."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from proofs_checks.smallest import SMALLEST

from ..jobs import UserError
from .findings import findings
from .tables import METRICS

__all__ = [
    "SOURCES",
    "VERDICTS",
    "as_shown",
    "chapters",
    "check_whole",
    "counterexamples",
    "deciding",
    "no_sentences",
    "redecided",
    "summary",
    "tally",
    "with_steps",
]

# In the order of the report, with what they are to a reader
VERDICTS = {
    "holds": "true as stated, in the reading given",
    "conditional": "true under a condition that is not stated with it",
    "refuted": "false, with a counterexample or the arithmetic",
    "ill-posed": "not defined as stated",
    "inconclusive": "searched for counterexamples in vain, and not proved",
}
SOURCES = {
    "printed": "printed in the paper, or checks of what it prints",
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


def tally(claims: pd.DataFrame, readings: Sequence[str], labels: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """
    Count claims, in the order of `SOURCES` and `VERDICTS`.

    Parameters
    ----------
    claims : pandas.DataFrame
        ``results/claims.csv``.
    readings : sequence of str
        Patterns: claims whose IDs match one, whole, are readings of one statement.
    labels : sequence of mapping, optional
        See `as_shown`: ``claims`` that have one are no sentences of the paper.

    Returns
    -------
    list of dict
        By source: ``counts``, how many have each verdict; ``statements``, of how many
        statements these are readings; ``total`` and ``total_statements``; ``several``, how
        many statements have readings with different verdicts, and so stand in several rows;
        ``no_sentences``, by ID the verdicts of those that are no sentences of the paper.

    """
    statement = claims["id"].map(lambda identity: next((each for each in readings if re.fullmatch(each, identity)), identity))
    labelled = {identity for entry in labels for identity in entry["claims"]}
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
                "several": int((claims["verdict"][of_source].groupby(statement[of_source]).nunique() > 1).sum()),
                "no_sentences": {
                    row["id"]: row["verdict"] for row in claims[of_source].to_dict("records") if row["id"] in labelled
                },
            }
        )
    return counted


def as_shown(claims: pd.DataFrame, labels: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """
    Return the claims with two columns more, each empty where there is no need of it.

    ``label`` is what has to be said of the source that a claim is counted under; in `labels`,
    ``{claim[column]}`` stands for a value of the claim. ``short`` is what of long evidence decides.
    Of ``condition`` there is left what neither its heading, "read so", nor the claim says. Metrics have people's names.
    """
    said = {identity: entry["says"].strip() for entry in labels for identity in entry["claims"]}
    rows = claims.to_dict("records")
    for row in rows:
        for column in {"condition", "fails", "correction", "evidence"} & set(row):
            row[column] = re.sub("|".join(METRICS), lambda metric: METRICS[metric.group()], row[column])
        of_numbers = row["check"].startswith("arb-audit")
        long = len(row["evidence"]) > (LONG_LIST if of_numbers else LONG_PROOF)
        row |= {
            "label": said.get(row["id"], "").format(claim=row),
            "short": deciding(row["evidence"]) if long else "",
            "condition": _not_said_twice(row["condition"], row["claim"]),
        }
    return pd.DataFrame(rows)


def _not_said_twice(condition: str, claim: str) -> str:
    own = re.sub(r"^read (so: |(?=for |as ))", "", condition)
    return "" if own.removesuffix(", as the theorem says").lower() in claim.lower() else own


def deciding(evidence: str) -> str:
    """
    Return what of long evidence decides: its first clauses, without long lists in brackets and lists behind a colon.

    Examples
    --------
    >>> deciding("2 of 3 do: A 1 against 2, B 3 against 4; the third (C) does not. More.")
    '2 of 3 do; the third (C) does not.'

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

    return pd.DataFrame(map(apart, claims.to_dict("records", into=dict)))


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


def summary(
    claims: pd.DataFrame,
    orderings: pd.DataFrame,
    ranks: Mapping[str, str],
    outline: Mapping[str, Any],
) -> str:
    """Return the tally and the findings as Markdown; `outline` is that of the report."""
    short = [finding["text"] for finding in findings(claims, orderings, ranks, [outline["short"]]) if finding["as_written"]]
    lines = [line for text in short for line in (f"**In short.** {text}", "")]
    lines += [f"| readings of claims | {' | '.join(VERDICTS)} |", "|---|" + "---:|" * len(VERDICTS)]
    tallied = tally(claims, outline["readings"], outline["labels"])
    for row in tallied:
        counts = [
            f"{count}" + (f" (of {row['statements'][verdict]})" if row["statements"][verdict] != count else "")
            for verdict, count in row["counts"].items()
        ]
        lines.append(f"| {row['meaning']} | {' | '.join(counts)} |")
    lines += ["", f"In brackets: of how many statements, where one can be read in several ways. {no_sentences(tallied)}", ""]
    for i, finding in enumerate(findings(claims, orderings, ranks, outline["findings"]), 1):
        ids = ", ".join(f"`{link['id']}`" for link in finding["links"])
        text = finding["text"].replace("_", r"\_")
        lines.append(f"{i}. **{finding['title']}.** {text} ({ids})")
    return "\n".join(lines) + "\n"


def no_sentences(tallied: Sequence[Mapping[str, Any]]) -> str:
    """Say how many claims that count as printed are no sentences of the paper, and how they were decided."""
    (printed,) = (row for row in tallied if row["source"] == "printed")
    found = printed["no_sentences"]
    what = (
        "are checks of printed numbers, not sentences" if len(found) != 1 else "is a check of printed numbers, not a sentence"
    )
    counts = Counter(found.values())
    decided = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    return f"Of the {printed['total']} that are printed, {len(found)} {what} ({', '.join(found)}: {decided})." if found else ""


def redecided(table: pd.DataFrame) -> dict[str, Any]:
    """
    Return which claims get another verdict with published baselines in place; `table` is ``results/audit_redecided.csv``.

    ``claims``, how many were decided again; ``sets``, how many sets of published numbers there are;
    ``changed``, each with ``id``, the verdict as printed, ``was``, and ``then``, sets by their verdict.
    """
    changed = []
    for identity, of_claim in table.groupby("claim", sort=False):
        was = of_claim["verdict_as_printed"].iloc[0]
        other = of_claim[of_claim["verdict_with_published"] != was]
        if len(other):
            then = {verdict: list(sets) for verdict, sets in other.groupby("verdict_with_published")["published"]}
            changed.append({"id": identity, "was": was, "then": then})
    return {"claims": table["claim"].nunique(), "sets": table["published"].nunique(), "changed": changed}


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
