"""The rules of evidence for measured accuracies: intervals over seeds, verdicts, paired comparisons.

Accuracies are in percent throughout, differences in percentage points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = [
    "Comparison",
    "Interval",
    "holm",
    "ordering_verdict",
    "paired_comparison",
    "prediction_interval",
    "reproduction_verdict",
    "t_interval",
]

Values = Sequence[float] | np.ndarray  # one per seed
LEVEL = 0.95
LEAST_SEEDS = 3
WIDEST_HALF_WIDTH = 1.0


class Interval(NamedTuple):
    """A mean with its bounds; the bounds are NaN where one value gives none."""

    mean: float
    low: float
    high: float


def t_interval(values: Values, level: float = LEVEL) -> Interval:
    """Student's t interval for the mean of independent values, one per seed."""
    return _interval(values, level, lambda n: np.sqrt(1 / n))


def prediction_interval(values: Values, level: float = LEVEL) -> Interval:
    """Student's t interval m +- t s sqrt(1 + 1/n) for ONE further value, which is what a printed number is."""
    return _interval(values, level, lambda n: np.sqrt(1 + 1 / n))


def _interval(values: Values, level: float, factor: Callable[[int], float]) -> Interval:
    if not len(values):
        raise ValueError("an interval needs at least one value, got none")
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) * factor(len(values)))
    return Interval(mean, mean - half, mean + half)


def reproduction_verdict(values: Values, printed: str) -> str:
    """
    Decide whether a printed accuracy is reproduced by measured ones.

    Parameters
    ----------
    values : sequence of float
        Measured accuracies, one per seed.
    printed : str
        As printed: "52.9" stands for all values from 52.85 to 52.95.

    Returns
    -------
    str
        "inconclusive" with fewer than 3 seeds or a prediction interval of more
        than 1 point to either side; else "reproduced" if the printed value, its
        rounding included, meets that interval, and "higher" or "lower" as the
        measured accuracy is above or below the printed one.

    Examples
    --------
    >>> reproduction_verdict([69.4, 69.6, 69.7], "69.57")
    'reproduced'
    >>> reproduction_verdict([61.4, 61.6, 61.7], "69.57")
    'lower'

    """
    number = Decimal(printed)
    rounding = float(Decimal(5).scaleb(int(number.as_tuple().exponent) - 1))
    interval = prediction_interval(values)
    if len(values) < LEAST_SEEDS or interval.high - interval.mean > WIDEST_HALF_WIDTH:
        return "inconclusive"
    if interval.low > float(number) + rounding:
        return "higher"
    if interval.high < float(number) - rounding:
        return "lower"
    return "reproduced"


@dataclass(frozen=True)
class Comparison:
    """A paired comparison: left minus right with its interval, the two-sided p value, the number of seeds."""

    difference: Interval
    p_value: float
    n_seeds: int


def paired_comparison(left: Values, right: Values) -> Comparison:
    """
    Compare two methods on the same seeds by a paired t test.

    Parameters
    ----------
    left, right : sequence of float
        Accuracies by seed, in the same order of seeds.

    Raises
    ------
    ValueError
        If the lengths differ or there is no seed.

    Notes
    -----
    With one seed the p value is 1. If all differences are equal, it is 1 where
    they are 0 and 0 elsewhere.

    """
    if len(left) != len(right):
        raise ValueError(f"a paired comparison needs the same seeds on both sides, got {len(left)} and {len(right)}")
    difference = np.subtract(left, right)
    interval = t_interval(difference)
    if len(difference) < 2:
        p_value = 1.0
    elif np.ptp(difference) == 0:
        p_value = float(difference[0] == 0)
    else:
        p_value = float(stats.ttest_1samp(difference, 0).pvalue)
    return Comparison(interval, p_value, len(difference))


def holm(p_values: Sequence[float]) -> list[float]:
    """
    Adjust p values of several comparisons by Holm's step-down procedure.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def ordering_verdict(comparison: Comparison, adjusted_p: float) -> str:
    """Return "supported" or "contradicted" where the adjusted p value is below 5%, by the sign, else "inconclusive"."""
    if comparison.n_seeds < LEAST_SEEDS or adjusted_p >= 1 - LEVEL:
        return "inconclusive"
    return "supported" if comparison.difference.mean > 0 else "contradicted"
