"""The ledger: every claim of theory, read from `ledger.yaml`, with the verdict that its check computes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import yaml
from threadpoolctl import threadpool_limits

from arb_suite.audit.claims import COLUMNS

# Each registers its checks.
from . import beyond, cost, escape, geometry, ridge, theorem_1, theorem_2, theorem_3, theorem_5  # noqa: F401
from .judge import QUICK, THEORY, Effort

__all__ = ["LEDGER", "ledger_row", "ledger_table", "read_ledger"]

LEDGER = Path(__file__).with_name("ledger.yaml")


@cache
def read_ledger() -> tuple[Mapping[str, str], ...]:
    """Return the claims: id, source, where, claim and, where a step of the paper's argument does not follow, fails."""
    return tuple(yaml.safe_load(LEDGER.read_text(encoding="utf-8")))


def ledger_row(claim: str, effort: Effort = QUICK) -> dict[str, str]:
    """
    Decide one claim and return its row of ``results/claims.csv``.

    Raises
    ------
    LookupError
        If the ledger has no such claim.

    """
    entries = {entry["id"]: entry for entry in read_ledger()}
    if claim not in entries:
        raise LookupError(f"the ledger has no claim {claim}; it has {', '.join(entries)}")
    entry = entries[claim]
    with threadpool_limits(1):  # the last bits of a product depend on the number of threads
        finding = THEORY[claim](effort=effort)
    correction = finding.correction
    if "fails" in entry and finding.verdict != "holds":
        correction = f"what fails: {entry['fails']}" + (f"; {correction}" if correction else "")
    return {
        **{name: entry[name] for name in ("id", "source", "where", "claim")},
        "verdict": finding.verdict,
        "condition": finding.condition,
        "evidence": finding.evidence,
        "correction": correction,
        "check": f"pytest proofs_checks/ -k '{claim}-'",
    }


def ledger_table(effort: Effort = QUICK) -> pd.DataFrame:
    """Return the columns of ``results/claims.csv``, for the claims of theory."""
    return pd.DataFrame([ledger_row(entry["id"], effort) for entry in read_ledger()], columns=COLUMNS)
