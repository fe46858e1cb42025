"""How far an accuracy can be off because the evaluation set is one sample of images.

Accuracies are in percent. Two models that were evaluated on the same images make some errors in common; how many is not
printed. So a comparison of printed accuracies has a range of p values: from errors that overlap as much as they can to
errors that overlap as little as they can.
"""

from dataclasses import dataclass

from scipy import stats

__all__ = ["Lead", "compare", "unpaired", "wilson_interval"]

LEVEL = 0.95


def wilson_interval(accuracy: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """
    Wilson's score interval for an accuracy over n images.

    Parameters
    ----------
    accuracy : float
        In percent; it is taken as the nearest whole number of correct images.
    n : int
        Images.
    level : float, optional
        Coverage.

    Returns
    -------
    low, high : float
        In percent.

    Examples
    --------
    >>> low, high = wilson_interval(69.57, 10000)
    >>> round(low, 2), round(high, 2)
    (68.66, 70.46)

    """
    interval = stats.binomtest(_correct(accuracy, n), n).proportion_ci(level, method="wilson")
    return 100 * float(interval.low), 100 * float(interval.high)


@dataclass(frozen=True)
class Lead:
    """
    The two-sided p values of a difference of two accuracies over the same number of images.

    Attributes
    ----------
    unpaired : float
        As if each were evaluated on images of its own: the two-sample test of
        proportions (pooled; chi-squared without correction).
    best : float
        McNemar's exact test if the errors overlap as much as they can: the better
        model is right wherever the other is.
    worst : float
        The same if the errors overlap as little as they can.

    """

    unpaired: float
    best: float
    worst: float


def compare(left: float, right: float, n: int) -> Lead:
    """
    Compare two accuracies over the same n images, of which only the accuracies are known.

    Parameters
    ----------
    left, right : float
        In percent; taken as the nearest whole numbers of correct images.
    n : int
        Images.

    Examples
    --------
    >>> lead = compare(79.48, 79.22, 5000)
    >>> round(lead.unpaired, 2), round(lead.best, 5), round(lead.worst, 2)
    (0.75, 0.00024, 0.79)

    """
    wrong = [n - _correct(accuracy, n) for accuracy in (left, right)]
    difference = abs(wrong[0] - wrong[1])
    apart = sum(wrong) - 2 * max(0, sum(wrong) - n)
    return Lead(unpaired(left, n, right, n), _mcnemar(difference, difference), _mcnemar(apart, difference))


def unpaired(left: float, n_left: int, right: float, n_right: int) -> float:
    """Return the two-sided p value of two accuracies over images of their own: the pooled two-sample test of proportions."""
    right_ones = [_correct(left, n_left), _correct(right, n_right)]
    if sum(right_ones) in (0, n_left + n_right):
        return 1.0
    table = [[count, n - count] for count, n in zip(right_ones, (n_left, n_right), strict=True)]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def _mcnemar(discordant: int, difference: int) -> float:
    if difference == 0:
        return 1.0
    return float(stats.binomtest((discordant + difference) // 2, discordant).pvalue)


def _correct(accuracy: float, n: int) -> int:
    return round(float(accuracy) * n / 100)
