"""Fig. 3 against Equations 7 and 8: what its first points can be, and what its standard deviation can be of."""

import re
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
from scipy.optimize import least_squares

from ..printed import Printed, Row, number, only, where
from .finding import Finding, decides, holds_if, listed

__all__ = ["FirstPoints", "excluded", "first_points", "witness"]


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
    return FirstPoints(*(float(number(row)) for row in rows), max(float(row["uncertainty"]) for row in rows))


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
        least = 2 * (d - sqrt(d * rank)) ** 2 / d
        if points.loss + eps < least:
            return f"ARB's loss {points.loss} is below {least:.2f}, the least for one base of rank {rank}"
        if points.loss - eps > 8 * d:
            return f"ARB's loss {points.loss} is above 8d = {8 * d}"
    return ""


@cache
def witness(points: FirstPoints, method: str, d: int, n: int, ridge: float) -> FirstPoints | None:
    """
    Look for embeddings of n samples in d dimensions that have these points.

    Both views share a signal whose singular values fall as a power of their rank;
    to each is added noise of its own, with a level that varies over the columns.
    The power, the level and its variation are solved for. Scaling, base and loss
    are those of `arb_core`, in float64.

    Returns
    -------
    FirstPoints or None
        The points of the embeddings found, None if they miss the wanted ones by
        more than the uncertainty.

    """
    # Imported here: it takes seconds, and no other part of the audit needs it.
    import torch
    from arb_core import nearest_orthonormal_basis, standard_scale

    rng = np.random.default_rng(2022)
    scores, noise_a, noise_b = (rng.standard_normal((n, d)) for _ in range(3))
    mixing, _ = np.linalg.qr(rng.standard_normal((d, d)))
    variation = rng.standard_normal(d)

    def measure(parameters: np.ndarray) -> FirstPoints:
        level, power, spread = parameters
        signal = (scores * np.arange(1, d + 1.0) ** -power) @ mixing
        signal /= signal.std(axis=0)
        noise = np.exp(level + spread * variation)
        a, b = (standard_scale(torch.from_numpy(signal + noise * own)) for own in (noise_a, noise_b))
        base_a, base_b = (nearest_orthonormal_basis(z, ridge=ridge) for z in (a, b))
        targets = (b, a) if method == "direct" else (base_b, base_a)
        loss = sum(float(((1 - (z * target).sum(0)) ** 2).sum()) for z, target in zip((a, b), targets, strict=True))
        return FirstPoints(float(((a - b) ** 2).sum()), float(((base_a - base_b) ** 2).sum()), loss, points.uncertainty)

    def misses(parameters: np.ndarray) -> list[float]:
        found = measure(parameters)
        return [getattr(found, name) - getattr(points, name) for name in ("distance", "base_distance", "loss")]

    solution = least_squares(misses, [1.0, 0.8, 1.5], x_scale=0.1, diff_step=1e-5, xtol=1e-8, max_nfev=40)
    return measure(solution.x) if np.abs(solution.fun).max() <= points.uncertainty else None


@decides("P20")
def panels_fit_a_dimension(printed: Printed) -> Finding:
    """For every stated dimension, exclude it by inequalities or find embeddings that have the first points."""
    n, ridge = int(printed.said("P20", "batch")), float(printed.said("P20", "ridge"))
    drawn = {len(where(printed.fig3, panel=row["panel"], method=row["method"])) for row in printed.fig3}
    last = 100 * max(int(row["iteration_hundreds"]) for row in printed.fig3)
    as_long = drawn == {int(printed.said("P20", "points"))} and abs(last - int(printed.said("P20", "iterations"))) <= 500
    steps = int(printed.said("P20", "images")) // n
    epochs = only(printed.tables, table="table3", method="ARB", metric="linear_top1")["pretrain_epochs"]
    points = {method: first_points(printed, method) for method in ("direct", "arb")}
    stated = {int(cell["proj_dim"]) for cell in where(printed.tables, table="table1", method="ARB", dataset="CIFAR-100")}
    parts, fits, open_ = [], [], []
    for d in sorted(stated):
        reasons = [reason for method in points if (reason := excluded(points[method], method, d, n))]
        if reasons:
            parts.append(f"d = {d} is excluded: {'; '.join(reasons)}")
            continue
        found = {method: witness(points[method], method, d, n, ridge) for method in points}
        if all(found.values()):
            fits.append(d)
            texts = (f"{method} {p.distance:.2f}, {p.base_distance:.2f}, {p.loss:.2f}" for method, p in found.items())
            parts.append(
                f"d = {d} fits: {n} x {d} embeddings with exactly the first distances of embeddings and of bases and the first"
                f" loss exist ({'; '.join(texts)})"
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
        condition="distances are squared Frobenius norms, the loss has both directions and one group, and the standard"
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
    ends = {method: _ends(where(printed.fig3, panel="embedding_std", method=method)) for method in ("arb", "direct")}
    (first, last), (first_direct, last_direct) = ends["arb"], ends["direct"]
    rises = float(last) > float(first)
    variance = "is free" if free else "is 1/N for every column, whatever Z is"
    return Finding(
        holds_if(not missing and free and rises),
        f"{theorem['where']} as stated ('{theorem['meaning']}')"
        f" mentions {len(cited) - len(missing)} of {len(cited)}: {', '.join(cited)}; after Eq. 7 the variance {variance}"
        f" (largest relative deviation over columns of scales 0.01 to 100: {_at_most(spread)}), and the derivative of Eq. 8"
        f" by the scale of a column is {_at_most(slope)}; in Fig. 3 the plotted standard deviation goes from {first} to {last}"
        f" with ARB, from {first_direct} to {last_direct} with direct alignment",
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
    ARBLoss(eps=0.0)(views[0] * log_scale.exp(), views[1]).backward()
    return spread, float(log_scale.grad.abs().max())
