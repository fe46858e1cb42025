"""Fig. 3 against Equations 7 and 8: what its first points can be, and what its standard deviation can be of."""

import re
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from ..cells import METHODS
from ..printed import Printed, Row, number, only, value, where
from .finding import Finding, decides, holds_if, listed

__all__ = ["FirstPoints", "excluded", "first_points", "least_loss", "points_of", "witness"]


@dataclass(frozen=True)
class FirstPoints:
    """
    The first points of a curve's three panels, and how exactly they were read.

    Attributes
    ----------
    distance : float
        ||Z^A - Z^B||_F^2, of scaled embeddings.
    base_distance : float
        ||B^A - B^B||_F^2.
    loss : float
        Both directions of Eq. 8; for direct alignment with Z in the place of B.
    uncertainty : float
        Of each.

    """

    distance: float
    base_distance: float
    loss: float
    uncertainty: float


def first_points(printed: Printed, method: str) -> FirstPoints:
    """Return the first points of "arb" or "direct"."""
    rows = [
        only(printed.fig3, panel=panel, method=method, iteration_hundreds="0")
        for panel in ("embedding_distance", "base_distance", "loss")
    ]
    distance, base_distance, loss = (float(number(row)) for row in rows)
    return FirstPoints(distance, base_distance, loss, max(float(row["uncertainty"]) for row in rows))


def excluded(points: FirstPoints, method: str, d: int, n: int) -> str:
    """
    Return why no embeddings of n samples in d dimensions have these points, or nothing where no reason is known.

    Notes
    -----
    Columns of Z have norm 1 (Eq. 7), so the distance is 2 sum_i (1 - c_i) with
    -1 <= c_i <= 1; a base has squared norm r = min(d, n - 1) at most, as centring
    costs one dimension. Direct alignment: by Cauchy and Schwarz its loss
    2 sum_i (1 - c_i)^2 is at least distance^2 / (2 d), and it is at most twice the
    distance. ARB: sum_i <z_i, b_i> is at most sqrt(d r), so each direction of the
    loss is at least (d - sqrt(d r))^2 / d; each of its 2 d terms is at most 4.
    """
    eps, rank = points.uncertainty, min(d, n - 1)
    if points.distance - eps > 4 * d:
        return f"the distance of embeddings {points.distance} is above 4d = {4 * d}"
    if points.base_distance - eps > 4 * rank:
        return f"the distance of bases {points.base_distance} is above 4 min(d, N - 1) = {4 * rank}"
    if method == "direct":
        least, most = (points.distance - eps) ** 2 / (2 * d), 2 * (points.distance + eps)
        if not least <= points.loss + eps or not points.loss - eps <= most:
            return f"direct alignment's loss {points.loss} is not between {least:.2f} and {most:.2f}, as its distance asks for"
    else:
        least = least_loss(d, n)
        if points.loss + eps < least:
            return f"ARB's loss {points.loss} is below {least:.2f}, the least for one base of rank {rank}"
        if points.loss - eps > 8 * d:
            return f"ARB's loss {points.loss} is above 8d = {8 * d}"
    return ""


def least_loss(d: int, n: int, groups: int = 1) -> float:
    """Return the least that both directions of Eq. 8 can be for n samples in d dimensions; see `excluded`."""
    size = d / groups
    return 2 * groups * (size - sqrt(size * min(size, n - 1))) ** 2 / size


@cache
def witness(points: FirstPoints, method: str, d: int, n: int, ridge: float) -> tuple[np.ndarray, np.ndarray] | None:
    """
    Look for embeddings of n samples in d dimensions that have these points.

    Both views share a signal whose singular values fall as a power of their rank;
    to each is added noise of its own, with a level that varies over the columns.
    The power, the level and its variation are solved for.

    Returns
    -------
    pair of (n, d) float64 arrays, or None
        Scaled embeddings; None if those found miss a point by more than the
        uncertainty.

    """
    # Imported here: it takes seconds, and no other part of the audit needs it.
    import torch
    from arb_core import standard_scale

    rng = np.random.default_rng(2022)
    scores, noise_a, noise_b = (rng.standard_normal((n, d)) for _ in range(3))
    mixing, _ = np.linalg.qr(rng.standard_normal((d, d)))
    variation = rng.standard_normal(d)

    def views(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        level, power, spread = parameters
        signal = (scores * np.arange(1, d + 1.0) ** -power) @ mixing
        signal /= signal.std(axis=0)
        noise = np.exp(level + spread * variation)
        a, b = (standard_scale(torch.from_numpy(signal + noise * own)).numpy() for own in (noise_a, noise_b))
        return a, b

    def misses(parameters: np.ndarray) -> np.ndarray:
        found = points_of(*views(parameters), method, ridge)
        return np.subtract(found, (points.distance, points.base_distance, points.loss))

    # The last bits of a product depend on the number of threads, and on a busy machine more than one only get in their own way.
    with threadpool_limits(1):
        solution = least_squares(misses, [1.0, 0.8, 1.5], x_scale=0.1, diff_step=1e-5, xtol=1e-8, max_nfev=40)
        return views(solution.x) if np.abs(solution.fun).max() <= points.uncertainty else None


def points_of(a: np.ndarray, b: np.ndarray, method: str, ridge: float) -> tuple[float, float, float]:
    """Return the distance of scaled embeddings, that of their bases, and the loss in both directions, by `arb_core`."""
    import torch
    from arb_core import nearest_orthonormal_basis

    base_a, base_b = (nearest_orthonormal_basis(torch.from_numpy(z), ridge=ridge).numpy() for z in (a, b))
    targets = (b, a) if method == "direct" else (base_b, base_a)
    loss = sum(float(((1 - (z * target).sum(0)) ** 2).sum()) for z, target in zip((a, b), targets, strict=True))
    return float(((a - b) ** 2).sum()), float(((base_a - base_b) ** 2).sum()), loss


@decides("P20")
def panels_fit_a_dimension(printed: Printed) -> Finding:
    """For every stated dimension, exclude it by inequalities or find embeddings that have the first points."""
    n, ridge = int(printed.said("P20", "batch")), float(printed.said("P20", "ridge"))
    drawn = {len(where(printed.fig3, panel=row["panel"], method=row["method"])) for row in printed.fig3}
    last = 100 * max(int(row["iteration_hundreds"]) for row in printed.fig3)
    as_long = drawn == {int(printed.said("P20", "points"))}
    as_long &= abs(last - int(printed.said("P20", "iterations"))) <= 500  # the text has "20k": rounded to thousands
    steps, groups = int(printed.said("P20", "images")) // n, int(printed.said("P6", "more_groups"))
    epochs = only(printed.tables, table="table3", method="ARB", metric="linear_top1")["pretrain_epochs"]
    points = {method: first_points(printed, method) for method in ("direct", "arb")}
    stated = {int(cell["proj_dim"]) for cell in where(printed.tables, table="table1", method="ARB", dataset="CIFAR-100")}
    parts, fits, open_ = [], [], []
    for d in sorted(stated):
        reasons = [reason for method in points if (reason := excluded(points[method], method, d, n))]
        if reasons:
            parts.append(
                f"d = {d} is excluded in one group: {'; '.join(reasons)} (the least is {least_loss(d, n, groups):.2f} in"
                f" {groups} groups, which the figure does not mention)"
            )
            continue
        sought = {method: witness(points[method], method, d, n, ridge) for method in points}
        found = {method: views for method, views in sought.items() if views is not None}
        if len(found) == len(sought):
            fits.append(d)
            values = {method: points_of(*views, method, ridge) for method, views in found.items()}
            texts = (f"{METHODS[method]} {', '.join(f'{point:.2f}' for point in found)}" for method, found in values.items())
            parts.append(
                f"d = {d} fits: there are {n} x {d} embeddings with the first distance of embeddings, the first distance of"
                f" bases and the first loss ({'; '.join(texts)})"
            )
        else:
            open_.append(d)
            parts.append(f"d = {d} is neither excluded nor are such embeddings found")
    verdict = "holds" if fits and as_long else "inconclusive" if open_ and as_long else "refuted"
    std = [number(only(printed.fig3, panel="embedding_std", method=m, iteration_hundreds="0")) for m in points]
    return Finding(
        verdict,
        f"{listed(str(count) for count in sorted(drawn))} points a curve, one in 100 iterations, up to {last}: at {steps} whole"
        f" batches of {n} an epoch these are {last / steps:g} of Table 3's {epochs} epochs; {'; '.join(parts)};"
        f" the standard deviations start at {' and '.join(std)}, after Eq. 7 they would be 1/sqrt({n}) = {1 / sqrt(n):.4f}",
        condition="read so: distances are squared Frobenius norms, the loss has both directions and one group, and the standard"
        " deviation is that of embeddings before Eq. 7",
    )


@decides("P21")
def entropy_and_variance(printed: Printed) -> Finding:
    """Look for the cited words in the theorem, for the variance in Eqs. 7 and 8, and for the trend in the figure."""
    theorem = only(printed.sentences, claim="P21", name="theorem")
    cited = only(printed.sentences, claim="P21", name="cited")["meaning"].split(" and ")
    missing = [word for word in cited if word not in re.findall(r"\w+", theorem["meaning"])]
    spread, slope = _variance_after_scaling()
    free = spread > 1e-9 or slope > 1e-9
    curves = {method: where(printed.fig3, panel="embedding_std", method=method) for method in ("arb", "direct")}
    (first, last), (first_direct, last_direct) = (_ends(curve) for curve in curves.values())
    rises = float(last) > float(first)
    lowest, highest = (number(pick(curves["arb"], key=value)) for pick in (min, max))
    variance = "is free" if free else "is 1/N for every column, whatever Z is"
    return Finding(
        holds_if(not missing and free and rises),
        f"what {theorem['where']}, says, in this suite's words, is: {theorem['meaning']}; of entropy and"
        f" variance it mentions {len(cited) - len(missing)} of {len(cited)}; after Eq. 7 the variance {variance}"
        f" (largest relative deviation over columns of scales 0.01 to 100: {_at_most(spread)}), and the derivative of Eq. 8"
        f" by the scale of a column is {_at_most(slope)}; in Fig. 3 the plotted standard deviation goes from {first} to {last}"
        f" with ARB (lowest {lowest}, highest {highest}), from {first_direct} to {last_direct} with direct alignment",
        condition="Z is read as the scaled embedding of Eq. 7, which the loss sees; of embeddings before Eq. 7 the plotted"
        f" standard deviation {'does rise' if rises else 'does not rise'} with ARB",
        correction="the loss neither rewards nor resists a change of variance, since Eq. 7 takes it out; what Fig. 3 plots is"
        " not the scaled Z"
        if missing or not free
        else "",
    )


def _at_most(size: float) -> str:
    """Write a size that is 0 but for rounding so that all machines write the same."""
    return "below 1e-12" if size < 1e-12 else f"{size:.1g}"


def _ends(points: tuple[Row, ...]) -> tuple[str, str]:
    in_order = sorted(points, key=lambda point: int(point["iteration_hundreds"]))
    return number(in_order[0]), number(in_order[-1])


def _variance_after_scaling(n: int = 64, d: int = 16) -> tuple[float, float]:
    """
    Return how much Eq. 7 leaves of the variance, and Eq. 8 of the scale, of n x d embeddings.

    The first is the largest relative deviation of a column's variance from 1/n,
    the second the largest derivative of the loss by the logarithm of a column's
    scale.
    """
    import torch
    from arb_core import ARBLoss, standard_scale

    generator = torch.Generator().manual_seed(2022)
    views = torch.randn(2, n, d, dtype=torch.float64, generator=generator) * torch.logspace(-2, 2, d, dtype=torch.float64)
    spread = float((n * standard_scale(views[0]).var(0, correction=0) - 1).abs().max())
    log_scale = torch.zeros(d, dtype=torch.float64, requires_grad=True)
    loss = ARBLoss(eps=0.0)(views[0] * log_scale.exp(), views[1])
    (slope,) = torch.autograd.grad(loss, log_scale)
    return spread, float(slope.abs().max())
