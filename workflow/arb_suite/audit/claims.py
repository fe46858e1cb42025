"""The verdict on every claim about numbers, in the order of the list of claims."""

from collections.abc import Mapping

import pandas as pd

from ..printed import Printed, only
from . import arithmetic, consistency, figure3, provenance, rankings, sizes  # noqa: F401 -- each registers its checks
from .finding import CHECKS, Finding

__all__ = ["COLUMNS", "claim_row", "claims_table", "decide", "verdict_list"]

COLUMNS = ["id", "source", "where", "claim", "verdict", "condition", "evidence", "correction", "check"]


def decide(printed: Printed, claim: str) -> Finding:
    """
    Decide a claim from the printed data.

    Raises
    ------
    LookupError
        If no check decides it, or the data lacks a row that the check asks for.

    """
    if claim not in CHECKS:
        raise LookupError(f"no check decides {claim}; known are {', '.join(CHECKS)}")
    return CHECKS[claim](printed)


def claims_table(printed: Printed) -> pd.DataFrame:
    """Return the columns of ``results/claims.csv``: every claim with its verdict and evidence."""
    return pd.DataFrame([claim_row(printed, row["id"]) for row in printed.claims], columns=COLUMNS)


def claim_row(printed: Printed, claim: str) -> Mapping[str, str]:
    """Return the row of one claim."""
    finding = decide(printed, claim)
    return {
        **only(printed.claims, id=claim),
        "verdict": finding.verdict,
        "condition": finding.condition,
        "evidence": finding.evidence,
        "correction": finding.correction,
        "check": f"arb-audit claim {claim}",
    }


def verdict_list(table: pd.DataFrame) -> str:
    """Return the claims and their verdicts as a Markdown table, in which a norm is no border of a column."""
    claims = table["claim"].str.replace("|", r"\|")
    rows = [
        f"| {row['id']} | {claim} | {row['verdict']} |" for row, claim in zip(table.to_dict("records"), claims, strict=True)
    ]
    return "\n".join(["| | claim | verdict |", "|---|---|---|", *rows]) + "\n"
