"""What is true, as properties that Hypothesis tries to break: the claims that hold, and the corrected ones.

Beside the ledger, which draws its own cases and climbs, the extremes of `strategies` are tried here, and closed forms by the
singular values that a matrix was made of stand in for a decomposition. A property takes an implementation, so that wrong ones
can be planted, and raises AssertionError where it fails.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ..matrices import OURS, Implementation, Matrix
from . import strategies

__all__ = ["PROPERTIES", "Property", "about", "at_most", "equal", "tally"]


@dataclass(frozen=True)
class Property:
    """
    A statement about every case of a strategy.

    Attributes
    ----------
    claims : str
        The IDs of the ledger that rest on it.
    cases : SearchStrategy
        What Hypothesis draws from.
    check : callable
        From an `Implementation` and a case; raises AssertionError where the statement fails.

    """

    claims: str
    cases: st.SearchStrategy
    check: Callable[[Implementation, Any], None]


PROPERTIES: dict[str, Property] = {}


def about(claims: str, cases: st.SearchStrategy) -> Callable[[Callable], Callable]:
    """Register a property of every case, under the name of its check."""

    def register(check: Callable[[Implementation, Any], None]) -> Callable[[Implementation, Any], None]:
        PROPERTIES[check.__name__.replace("_", " ")] = Property(claims, cases, check)
        return check

    return register


def equal(actual: Matrix | float, expected: Matrix | float, within: float = 1e-9) -> None:
    """Raise AssertionError unless two arrays are equal to an absolute tolerance."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=within)


def at_most(left: float, right: float, within: float = 1e-9) -> None:
    """Raise AssertionError if the left is above the right by more than a tolerance, or not a number."""
    assert left <= right + within, f"{left} is above {right}"


def tally(name: str, cases: int, implementation: Implementation = OURS, shrink: bool = True) -> Counter[str]:
    """
    Try a property on cases that Hypothesis draws, always the same ones.

    Parameters
    ----------
    name : str
        Of the property.
    cases : int
        How many.
    implementation : Implementation, optional
        What is tried.
    shrink : bool, optional
        Whether a failing case is made small before it is reported.

    Returns
    -------
    Counter
        "cases", and how many of them were of the kinds that `strategies.describe` names.

    Raises
    ------
    AssertionError
        For a case that fails, with the case.

    """
    found = PROPERTIES[name]
    counted: Counter[str] = Counter()
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])]

    @settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=cases,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(found.cases)
    def run(case: Any) -> None:
        found.check(implementation, case)
        counted.update(["cases", *strategies.describe(case)])

    run()
    return counted
