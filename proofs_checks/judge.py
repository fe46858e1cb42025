"""How a claim of theory is decided: by a proof and cases that could have failed, or by a case where it fails.

A statement says that a gap is at most 0 in every case of a domain. Cases are drawn at random first; then the gap is climbed by
gradient ascent, since random cases alone are known to miss counterexamples that exist.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from arb_suite.audit.finding import Finding

__all__ = ["QUICK", "THEORY", "Check", "Effort", "Judgement", "Statement", "judge", "theory"]

TOLERANCE = 1e-8
SEED = 2022


@dataclass(frozen=True)
class Effort:
    """
    How much is tried.

    Attributes
    ----------
    cases : int
        Drawn at random, per statement.
    starts, steps : int
        Of the ascent, per size.
    sizes : tuple of (int, int)
        N and d of the ascent.

    """

    cases: int
    starts: int
    steps: int
    sizes: tuple[tuple[int, int], ...]


QUICK = Effort(200, 24, 120, ((4, 2), (6, 4)))


@dataclass(frozen=True)
class Statement:
    """
    That a gap is at most 0, to rounding, in every case.

    Attributes
    ----------
    gap : callable
        From a case to a number; a violation is above 0. It may raise
        AssertionError where the case is not what it should be.
    draw : callable
        From a random generator to a case.
    proved : bool
        Whether the ledger has a proof, in the docstring of the check; without one,
        what survives is inconclusive.
    known : tuple
        Cases that are tried first: stored counterexamples, and cases of a kind
        that is never drawn.
    climb : callable, optional
        From an effort to cases that gradient ascent on the gap has found.

    """

    gap: Callable[[Any], float]
    draw: Callable[[np.random.Generator], Any]
    proved: bool = False
    known: tuple = ()
    climb: Callable[[Effort], Iterator[Any]] | None = None


@dataclass(frozen=True)
class Judgement:
    """
    What became of a statement.

    Attributes
    ----------
    verdict : str
        holds | refuted | inconclusive.
    drawn, climbed : int
        Cases tried, of each kind.
    largest : float
        The largest gap.
    case : object
        Where it was found.

    """

    verdict: str
    drawn: int
    climbed: int
    largest: float
    case: Any

    @property
    def tried(self) -> str:
        """How many cases were tried, of which kind, and how many violate the statement."""
        kinds = f"{self.drawn} drawn" + (f", {self.climbed} from gradient ascent on the violation" if self.climbed else "")
        return f"{int(self.verdict == 'refuted')} of {self.drawn + self.climbed} cases violate it ({kinds})"


def judge(statement: Statement, effort: Effort = QUICK) -> Judgement:
    """Try a statement on its known cases, on cases drawn at random and on those of the ascent; stop at the first violation."""
    rng = np.random.default_rng(SEED)
    largest, worst = -np.inf, None
    counts = [0, 0]

    def cases() -> Iterator[tuple[int, Any]]:
        for case in statement.known:
            yield 0, case
        for _ in range(effort.cases):
            yield 0, statement.draw(rng)
        if statement.climb is not None:
            for case in statement.climb(effort):
                yield 1, case

    for kind, case in cases():
        counts[kind] += 1
        gap = float(statement.gap(case))
        assert not np.isnan(gap), "a gap is not a number"
        if gap > largest:
            largest, worst = gap, case
        if gap > TOLERANCE:
            return Judgement("refuted", *counts, gap, case)
    return Judgement("holds" if statement.proved else "inconclusive", *counts, largest, worst)


Check = Callable[..., Finding]
THEORY: dict[str, Check] = {}


def theory(claim: str) -> Callable[[Check], Check]:
    """
    Make a function the check of a claim of theory.

    It is called with an `Implementation`, an `Effort` and `other`: whether the claim
    is to be replaced by another one that should get another verdict, its correction
    or, where there is nothing to correct, a perturbed one.
    """

    def register(check: Check) -> Check:
        THEORY[claim] = check
        return check

    return register
