"""Which accuracies one evaluation over n images can give, and which n explain accuracies that are printed.

An accuracy over n images is 100 k / n for a whole k. This is the GRIM test (Brown and Heathers, "The GRIM Test", Social
Psychological and Personality Science 8, 2017) for accuracies. All arithmetic on values is in whole numbers, hence exact.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np
from scipy import stats

__all__ = ["LARGEST", "Explanation", "correct_counts", "explaining_sizes", "is_attainable", "nearest_attainable"]

LARGEST = 10_000_000  # images; products below stay within 64 bits
MOST_DECIMALS = 6


def correct_counts(printed: str, n: int, truncated: bool = False) -> range:
    """
    Return the numbers of correct images out of n that would be printed as an accuracy.

    Parameters
    ----------
    printed : str
        Accuracy in percent as printed: "52.9" stands for 52.85 to 52.95, "52.90"
        for 52.895 to 52.905. Both ends count, as conventions for halves differ.
    n : int
        Images.
    truncated : bool, optional
        Whether further digits were cut off instead of rounded: "52.9" then
        stands for 52.9 up to, but without, 53.0.

    Returns
    -------
    range
        Empty if no number of correct images gives this accuracy.

    Raises
    ------
    ValueError
        If `printed` is no decimal number from 0 to 100 with at most 6 decimals,
        or n is not from 1 to 10,000,000.

    Examples
    --------
    >>> correct_counts("95.51", 5000)
    range(0, 0)
    >>> correct_counts("95.52", 5000)
    range(4776, 4777)
    >>> len(correct_counts("95.5", 5000))
    5

    """
    low, high, unit = _bounds(printed, truncated)
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= LARGEST:
        raise ValueError(f"n must be a whole number of images from 1 to {LARGEST}, got {n!r}")
    first = -(-low * n // unit)
    last = -(-high * n // unit) - 1 if truncated else high * n // unit
    first, last = max(first, 0), min(last, n)
    return range(first, last + 1) if first <= last else range(0)


def is_attainable(printed: str, n: int, truncated: bool = False) -> bool:
    """Tell whether one evaluation over n images can be printed so; parameters and errors as for `correct_counts`."""
    return len(correct_counts(printed, n, truncated)) > 0


def nearest_attainable(printed: str, n: int) -> tuple[Fraction, Fraction]:
    """
    Return the accuracies over n images just below and just above a printed one; both are it where it is one itself.

    Examples
    --------
    >>> nearest_attainable("95.51", 5000)
    (Fraction(191, 2), Fraction(2388, 25))

    """
    correct_counts(printed, n)  # for its errors
    correct = Fraction(printed) * n / 100
    below, above = correct.numerator // correct.denominator, -(-correct.numerator // correct.denominator)
    return Fraction(100 * below, n), Fraction(100 * above, n)


@dataclass(frozen=True)
class Explanation:
    """
    A number of images that gives many of a set of printed accuracies.

    Attributes
    ----------
    n : int
        Images.
    explained, total : int
        How many of the accuracies are attainable over n images, and of how many.
    expected : float
        How many of the sizes up to n would give as many of the accuracies by
        chance, if these had nothing to do with n. Far below 1: no coincidence.
        It takes the accuracies as independent.

    """

    n: int
    explained: int
    total: int
    expected: float


def explaining_sizes(
    printed: Sequence[str], largest: int, least: int | Literal["most"] | None = None, truncated: bool = False
) -> list[Explanation]:
    """
    Return the numbers of images that give a set of printed accuracies, the smallest first.

    Parameters
    ----------
    printed : sequence of str
        Accuracies in percent, as printed; equal ones count once.
    largest : int
        The sizes from 1 to this are tried.
    least : int or "most", optional
        How many of the distinct accuracies must fit; all of them by default.
        "most": as many as any size explains.
    truncated : bool, optional
        As for `correct_counts`.

    Raises
    ------
    ValueError
        If there is no accuracy, or as for `correct_counts`.

    Examples
    --------
    >>> [found.n for found in explaining_sizes(["33.33", "66.67"], 10)]
    [3, 6, 9]

    """
    distinct = list(dict.fromkeys(printed))
    if not distinct:
        raise ValueError("no accuracies were given; at least one is needed")
    for text in distinct:
        correct_counts(text, largest, truncated)  # for its errors
    sizes = np.arange(1, largest + 1, dtype=np.int64)
    explained = np.zeros(largest, dtype=np.int64)
    for text in distinct:
        low, high, unit = _bounds(text, truncated)
        first = np.maximum(-(-low * sizes // unit), 0)
        last = -(-high * sizes // unit) - 1 if truncated else high * sizes // unit
        explained += first <= np.minimum(last, sizes)
    wanted = int(explained.max()) if least == "most" else len(distinct) if least is None else least
    expected = {
        count: np.cumsum(_chance_of(count, distinct, sizes, truncated))
        for count in np.unique(explained[explained >= wanted]).tolist()
    }
    return [
        Explanation(n, int(explained[n - 1]), len(distinct), float(expected[int(explained[n - 1])][n - 1]))
        for n in sizes[explained >= wanted].tolist()
    ]


def _chance_of(count: int, printed: Sequence[str], sizes: np.ndarray, truncated: bool) -> np.ndarray:
    """Return the probability, by size, that at least `count` accuracies fit by chance; those of equal decimals fit alike."""
    alike = Counter(_decimals(text) for text in printed)
    most = max(alike, key=lambda decimals: alike[decimals])
    rest = [decimals for decimals in alike if decimals != most]
    shares = {decimals: _share(decimals, sizes, truncated) for decimals in alike}
    found = np.zeros(len(sizes))
    # Over how many of the accuracies with other numbers of decimals fit; there are few of these, if any.
    for fits in product(*(range(alike[decimals] + 1) for decimals in rest)):
        weight = np.ones(len(sizes))
        for k, decimals in zip(fits, rest, strict=True):
            weight *= stats.binom.pmf(k, alike[decimals], shares[decimals])
        found += weight * stats.binom.sf(count - sum(fits) - 1, alike[most], shares[most])
    return found


def _share(decimals: int, sizes: np.ndarray, truncated: bool) -> np.ndarray:
    """Return which share of all accuracies with as many decimals are attainable: that of numbers that fit by chance."""
    steps = 100 * 10**decimals
    # Each number of correct images gives one accuracy, and two where it lies halfway between them.
    common = np.gcd(2 * steps, sizes)
    halves = np.where((2 * steps // common) % 2 == 1, (common + 1) // 2, 0)
    share: np.ndarray = np.minimum(1.0, (sizes + 1 + (0 if truncated else halves)) / (steps + 1))
    return share


def _decimals(printed: str) -> int:
    return max(0, -int(Decimal(printed).as_tuple().exponent))


def _bounds(printed: str, truncated: bool) -> tuple[int, int, int]:
    """Return what a printed accuracy stands for, low / unit to high / unit as shares of 1, in whole numbers."""
    try:
        number = Decimal(printed if printed.isascii() and "_" not in printed else "NaN")
        allowed = number.is_finite() and 0 <= number <= 100 and _decimals(printed) <= MOST_DECIMALS
    except InvalidOperation:
        allowed = False
    if not allowed:
        raise ValueError(
            f"an accuracy must be a decimal number of percent from 0 to 100 with at most 6 decimals, got {printed!r}"
        )
    decimals = _decimals(printed)
    units = int(number.scaleb(decimals))
    if truncated:
        return units, units + 1, 100 * 10**decimals
    return 2 * units - 1, 2 * units + 1, 200 * 10**decimals
