"""Drawings of the base: what it does to an embedding matrix, what a ridge changes, and where it cannot be orthonormal."""

from collections.abc import Sequence

import matplotlib
import torch
from arb_core import nearest_orthonormal_basis, standard_scale
from matplotlib.axes import Axes
from torch import Tensor

from .canvas import (
    BASE,
    FRAME,
    GREY,
    INK,
    OTHER,
    PAPER,
    STYLE,
    VIEW,
    Drawing,
    arc,
    arrow,
    at,
    circle,
    new_figure,
    panel,
    right_angle,
    turned,
)

__all__ = ["PRINTED_RIDGE", "base", "between", "largest_cosine", "of_singular_values", "rank", "ranks", "ridge", "scaled"]

PRINTED_RIDGE = 1e-4  # of Eq. 9
# Raw embeddings, rows are samples. Others would do: they are to have correlated features.
TWO_FEATURES = [[0, 1], [1, 0], [3, 3]]
THREE_FEATURES = [[0, -2, -1], [0, 1, 0], [-1, 1, 0], [-3, -3, -2], [1, -1, -1], [0, 0, 0]]
RIDGES = {0.0: "0", PRINTED_RIDGE: "10^{-4}", 1e-2: "10^{-2}", 0.6: "0.6"}
SAMPLES, MOST = 8, 12  # in the panel of ranks


def scaled(rows: Sequence[Sequence[float]]) -> Tensor:
    """Return embeddings after Eq. 7."""
    return standard_scale(torch.tensor(rows, dtype=torch.float64))


def between(first: Tensor, second: Tensor) -> float:
    """Return the angle between two vectors, in degrees."""
    return torch.rad2deg(torch.acos((first @ second / first.norm() / second.norm()).clamp(-1, 1))).item()


def base() -> Drawing:
    """Draw what the base does to an embedding matrix."""
    z, more = scaled(TWO_FEATURES), scaled(THREE_FEATURES)
    b, of_more = nearest_orthonormal_basis(z), nearest_orthonormal_basis(more)
    apart = between(z[:, 0], z[:, 1])
    turn = [between(z[:, i], b[:, i]) for i in (0, 1)]
    singular = [", ".join(f"{s:.2f}" for s in torch.linalg.svdvals(matrix).tolist()) for matrix in (more, of_more)]
    largest = [(matrix.mT @ matrix).fill_diagonal_(0).abs().max().item() for matrix in (more, of_more)]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 2.9)
        left = panel(figure, (0, 0, 2.6, 2.6), "3 samples, 2 features")
        right = panel(figure, (2.65, 0, 3.15, 2.6), "6 samples, 3 features")
        circle(left, 1.22)
        (z_1, z_2), (b_1, b_2) = turned([z, b], 45 - apart / 2)
        for name, to, colour in (("b_1", b_1, BASE), ("b_2", b_2, BASE), ("z_1", z_1, VIEW), ("z_2", z_2, VIEW)):
            arrow(left, to, colour, f"${name}$", off=0.13)
        right_angle(left, b_1[0], b_2[0])
        arc(left, z_1[0], z_2[0], 0.46, f"{apart:.0f}°", VIEW)
        arc(left, b_1[0], z_1[0], 0.72, f"{turn[0]:.0f}°", BASE)
        arc(left, z_2[0], b_2[0], 0.72, f"{turn[1]:.0f}°", BASE)
        left.text(0, -0.52, "the plane orthogonal\nto (1, 1, 1)", ha="center", va="center", color=GREY, fontsize=9)
        _factors(right, more, of_more)
    return Drawing(
        figure,
        "The base is a decomposition, not a layer",
        f"Left: features of three samples, centred and of norm 1 (Eq. 7), are points on a circle. z_1 and z_2 are correlated, "
        f"{apart:.1f} degrees apart. The nearest orthonormal pair, b_1 and b_2, is found by turning them by {turn[0]:.1f} and "
        f"{turn[1]:.1f} degrees. Right: the same for a matrix of six samples and three features; full squares are positive "
        f"entries, hollow ones negative. Z and its base B share U and V; the singular values of Z are {singular[0]}, those of "
        f"B are {singular[1]}. Nothing is learnt.",
        f"A circle with two arrows, the features, at {apart:.1f} degrees to each other, and outside them two dashed arrows, "
        f"the columns of the base, at {between(b[:, 0], b[:, 1]):.1f} degrees, turned by {turn[0]:.1f} and {turn[1]:.1f} "
        f"degrees. Beside it Z as U times a diagonal matrix of {singular[0]} times V transposed, above B as U times a "
        f"diagonal matrix of {singular[1]} times V transposed. The largest correlation between two columns is "
        f"{largest[0]:.2f} in Z and {largest[1]:.2f} in B.",
    )


def _factors(axis: Axes, z: Tensor, b: Tensor) -> None:
    """Draw Z = U diag(s) V^T above B = U I V^T."""
    u, _, vh = torch.linalg.svd(z, full_matrices=False)
    sign = vh.sum(dim=1).sign()  # free in a decomposition; here the same wherever it is computed
    u, vh = u * sign, vh * sign[:, None]
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set(xlim=(-0.4, 17.8), ylim=(14.6, -1.2))
    for top, name, matrix, middle, colour in ((0.0, "Z", z, r"\mathrm{diag}(s)", VIEW), (8.2, "B", b, "I", BASE)):
        s = u.mT @ matrix @ vh.mT
        parts = ((name, matrix, colour, ""), ("U", u, GREY, "="), (middle, s, colour, "·"), ("V^T", vh, GREY, "·"))
        for x, (title, entries, shade, sign) in zip((0, 4.5, 9.3, 14.3), parts, strict=True):
            y = top + (6 - len(entries)) / 2
            _squares(axis, x, y, entries, shade)
            axis.text(x + 1.5, y - 0.65, f"${title}$", ha="center", va="center", color=shade)
            axis.text(x - 0.85, top + 3, sign, ha="center", va="center", fontsize=12)
        values = "  ".join(f"{value:.1f}" for value in s.diag().tolist())
        axis.text(10.8, top + 5.2, values, ha="center", va="center", color=colour, fontsize=8)


def _squares(axis: Axes, x: float, y: float, matrix: Tensor, colour: str) -> None:
    """Draw a matrix as squares with its entries as areas: full where positive, hollow where negative."""
    rows, columns = matrix.shape
    outline = [(x, y), (x + columns, y), (x + columns, y + rows), (x, y + rows)]
    axis.fill(*zip(*outline, strict=True), facecolor=PAPER, edgecolor=FRAME, linewidth=0.8)
    for i, row in enumerate(matrix.tolist()):
        for j, entry in enumerate(row):
            half, u, v = 0.46 * abs(entry / 1.55) ** 0.5, x + j + 0.5, y + i + 0.5
            square = [(u - half, v - half), (u + half, v - half), (u + half, v + half), (u - half, v + half)]
            if abs(entry) > 1e-9:
                face = colour if entry > 0 else "white"
                axis.fill(*zip(*square, strict=True), facecolor=face, edgecolor=colour, linewidth=0.9)


def of_singular_values(s: Tensor, ridge: float) -> Tensor:
    """Return what the base makes of singular values, by matrices of one row and one column."""
    return nearest_orthonormal_basis(s[:, None, None], ridge)[:, 0, 0]


def ridge() -> Drawing:
    """Draw how Eq. 9 maps singular values."""
    s = torch.logspace(-3.5, 0.5, 161, dtype=torch.float64)
    least, most = s[0].item(), s[-1].item()
    half = {
        value: of_singular_values(torch.tensor([value**0.5], dtype=torch.float64), value).item() for value in RIDGES if value
    }
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.2, 3.0)
        axis = panel(figure, (0.6, 0.5, 4.5, 2.4))
        axis.axhline(next(iter(half.values())), color=GREY, linewidth=0.8, linestyle=":")
        styles = ((INK, "-"), (VIEW, "-"), (OTHER, (0, (5, 1.4))), (BASE, (0, (1.5, 1.0))))
        for (value, name), (colour, line) in zip(RIDGES.items(), styles, strict=True):
            axis.plot(s.numpy(), of_singular_values(s, value).numpy(), color=colour, linestyle=line)
            if value:
                axis.plot(value**0.5, half[value], "o", color=colour, markersize=6, markeredgecolor="white", zorder=5)
                axis.text(value**0.5 * 0.86, half[value] + 0.05, rf"$\lambda = {name}$", color=colour, ha="right")
            else:
                axis.text(1.25 * least, 1.03, rf"$\lambda = {name}$", color=colour)
        axis.annotate(
            r"at $s = \sqrt{\lambda}$",
            (least, next(iter(half.values()))),
            (8, -5),
            textcoords="offset points",
            va="top",
            color=GREY,
        )
        axis.set(xscale="log", xlim=(least, most), ylim=(0, 1.13), xlabel="singular value $s$ of $Z$")
        axis.set_ylabel("singular value of $B$")
        axis.set_yticks([0, 0.5, 1])
    at_root = ", ".join(f"{value:.3f}" for value in half.values())
    low = torch.tensor([0.001, 1.0], dtype=torch.float64)
    small, one = of_singular_values(low, PRINTED_RIDGE).tolist()
    return Drawing(
        figure,
        "What a ridge does to singular values (Eq. 9)",
        f"The pseudo base keeps the singular vectors of Z and turns each singular value s into s / sqrt(s^2 + lambda). Without "
        f"a ridge all become 1; with one, those far above sqrt(lambda) become nearly 1, those far below stay small, and at "
        f"s = sqrt(lambda), the dots, the result is {max(half.values()):.3f} for every lambda. With lambda = 1e-4, s = 1 "
        f"becomes {one:.5f} and s = 0.001 becomes {small:.3f}.",
        "Four curves over a logarithmic axis of singular values of Z. Without a ridge a level line at 1; for the ridges "
        f"0.0001, 0.01 and 0.6 S-shaped curves from near 0 up to near 1, with the values {at_root} where the singular value "
        "is the root of the ridge.",
    )


def largest_cosine(step: int = 1) -> float:
    """Return the least that the largest |cosine| among three directions of a plane can be, over a grid of `step` degrees."""
    turn = torch.arange(0, 360, step, dtype=torch.float64).deg2rad()
    second, third = turn[:, None], turn[None, :]
    return torch.maximum(torch.maximum(second.cos().abs(), third.cos().abs()), (third - second).cos().abs()).min().item()


def ranks(scale: bool) -> list[int]:
    """Return the rank of matrices of normal numbers, of 8 samples and 1 to 12 features, scaled or not."""
    z = torch.randn(SAMPLES, MOST, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return [int(torch.linalg.matrix_rank(standard_scale(z[:, :d]) if scale else z[:, :d])) for d in range(1, MOST + 1)]


def rank() -> Drawing:
    """Draw three features of three samples, which cannot be orthogonal, and the rank that centring leaves."""
    z = standard_scale(torch.eye(3, dtype=torch.float64))
    b = nearest_orthonormal_basis(z, PRINTED_RIDGE)
    apart = [between(z[:, i], z[:, j]) for i, j in ((0, 1), (1, 2), (2, 0))]
    norms = b.norm(dim=0).tolist()
    raw, centred = ranks(scale=False), ranks(scale=True)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 2.9)
        left = panel(figure, (0, 0, 2.6, 2.6), "3 samples, 3 features")
        right = panel(figure, (3.1, 0.5, 2.6, 2.1), f"rank, $N = {SAMPLES}$ random samples")
        circle(left, 1.22)
        inner = [at(degree, norms[0]) for degree in range(0, 361, 3)]
        left.plot(*zip(*inner, strict=True), color=BASE, linewidth=0.9, linestyle=":")
        left.text(0, -0.64, f"norm {norms[0]:.2f}", color=BASE, fontsize=9, ha="center", va="center")
        for i, (to, shorter) in enumerate(zip(*turned([z, b], 90), strict=True), 1):
            arrow(left, to, VIEW, f"$z_{i}$", off=0.13)
            arrow(left, shorter, BASE, beside=0.07)
            left.text(*at(shorter[0] + 19, 0.62), f"$b_{i}$", color=BASE, ha="center", va="center")
            arc(left, to[0], to[0] + apart[i - 1], 0.27, f"{apart[i - 1]:.0f}°", off=0.17)
        features = range(1, MOST + 1)
        right.axvline(SAMPLES, color=GREY, linewidth=0.8, linestyle=":")
        right.text(SAMPLES + 0.2, 0.4, "$d = N$", color=GREY)
        right.plot(features, raw, "s", color=GREY, markerfacecolor="white", markersize=6.5, label="before Eq. 7")
        right.plot(features, centred, "o", color=VIEW, markersize=5, label="after Eq. 7")
        right.set(xlabel="features $d$", ylim=(0, SAMPLES + 2.4), xticks=[1, 4, 8, 12], yticks=[0, 2, 4, 6, 7, 8])
        right.legend(loc="upper left", handletextpad=0.1, borderpad=0.1)
    return Drawing(
        figure,
        "Centring costs one rank",
        f"Left: three centred features of three samples lie in one plane, so they cannot be orthogonal. Best spread they are "
        f"{apart[0]:.0f} degrees apart: however three directions of a plane are turned, some two have a cosine of at least "
        f"{largest_cosine():.2f} in size (over all angles in whole degrees). The columns of the pseudo base have the norm "
        f"{norms[0]:.3f}, not 1. Right: of {SAMPLES} samples, matrices of normal numbers have the rank min(d, {max(raw)}) "
        f"before Eq. 7 and min(d, {max(centred)}) after it, so that d = N features have no orthonormal base.",
        f"A circle with three arrows, the features, at {', '.join(f'{angle:.0f}' for angle in apart)} degrees to each other, "
        f"and beside them dashed arrows, the columns of the pseudo base, of the lengths "
        f"{', '.join(f'{norm:.3f}' for norm in norms)}. Beside it the rank over the number of features, 1 to {MOST}, for "
        f"{SAMPLES} samples: at d = {SAMPLES} it is "
        f"{raw[SAMPLES - 1]} before centring and scaling and {centred[SAMPLES - 1]} after it, and it stays so.",
    )
