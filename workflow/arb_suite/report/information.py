"""The drawing of Theorem 3: embeddings that share a base, and what the base then leaves of the information."""

import matplotlib
import torch
from arb_core import nearest_orthonormal_basis
from proofs_checks.information import Law, both, labelled
from proofs_checks.shared_base import FAMILY

from .bases import between, scaled
from .canvas import BASE, GREY, OTHER, STYLE, VIEW, Drawing, arc, arrow, circle, new_figure, panel, right_angle, turned
from .collapse import embeddings

__all__ = ["MOST", "informations", "shared"]

MOST = 8  # embeddings
ANGLES = 20, 160  # between their two features, in degrees


def informations(count: int) -> tuple[float, float]:
    """Return I(Z^A; Z^B) and I(Z^A; B^B) in bits, for equally likely embeddings Z^A = Z^B, told apart as they are computed."""
    angles = torch.linspace(*ANGLES, MOST, dtype=torch.float64).deg2rad()[:count]
    views = embeddings(angles).unflatten(1, (-1, 2)).movedim(1, 0)
    of_view, of_base = (labelled(list(matrices.numpy())) for matrices in (views, nearest_orthonormal_basis(views)))
    law: Law = {(view, view, base): 1 / count for view, base in zip(of_view, of_base, strict=True)}
    with_view, with_base = both(law)
    return float(with_view) + 0.0, float(with_base) + 0.0


def shared() -> Drawing:
    """Draw two embeddings with one base, and what is known of the one from the other, over how many share it."""
    first, second = (scaled(FAMILY[name]) for name in ("Z_1", "Z_2"))
    b, same = (nearest_orthonormal_basis(z) for z in (first, second))
    torch.testing.assert_close(b, same)
    apart = [between(z[:, 0], z[:, 1]) for z in (first, second, b)]
    counts = range(1, MOST + 1)
    known = [informations(count) for count in counts]
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.8, 2.9)
        left = panel(figure, (0, 0, 2.6, 2.6), "two embeddings, one base")
        right = panel(figure, (3.2, 0.5, 2.5, 2.1), "information, in bits")
        circle(left, 1.26)
        wide, narrow, base = turned([first, second, b], 90 - apart[0] / 2)
        for name, matrix, colour in (("B", base, BASE), ("Z_2", narrow, OTHER), ("Z_1", wide, VIEW)):
            for to in matrix:
                arrow(left, to, colour, f"${name}$", off=0.15)
        right_angle(left, base[0][0], base[1][0])
        arc(left, narrow[0][0], narrow[1][0], 0.6, f"{apart[1]:.0f}°", OTHER, off=0.12)
        arc(left, wide[0][0], wide[1][0], 0.3, f"{apart[0]:.0f}°", VIEW, off=0.12)
        left.text(0, -0.52, "the plane orthogonal\nto (1, 1, 1)", ha="center", va="center", color=GREY, fontsize=9)
        right.plot(counts, [view for view, _ in known], "o", color=VIEW, markersize=6)
        right.plot(counts, [base for _, base in known], "s", color=BASE, markersize=5)
        right.text(4.6, known[3][0] - 0.1, "$I(Z^A;\\, Z^B)$", color=VIEW, va="top")
        right.text(4.6, 0.2, "$I(Z^A;\\, B^B)$", color=BASE, va="bottom")
        right.set(xlabel="embeddings with one base", xlim=(0.5, MOST + 0.5), ylim=(-0.2, 3.4), yticks=[0, 1, 2, 3])
        right.set_xticks([1, 2, 4, 6, 8])
    return Drawing(
        figure,
        "What the base does not tell",
        f"Left: Z_1 and Z_2, the matrices shown below, scaled by Eq. 7. Their features are {apart[0]:.0f} and {apart[1]:.0f} "
        f"degrees apart, and all are turned to the same base B, whose columns are {apart[2]:.0f} degrees apart. Who is told B "
        "alone cannot say which of the two it was. Right: of equally likely embeddings with one base, Z^A = Z^B, the other "
        f"view tells which it is, {known[1][0]:.0f} bit of two and {known[-1][0]:.0f} bits of {MOST}; its base tells "
        f"{known[-1][1]:.0f} bits.",
        f"A circle with two arrows, the features of one embedding, {apart[0]:.0f} degrees apart, two dotted arrows, those of "
        f"another one, {apart[1]:.0f} degrees apart, and between them two dashed arrows, the columns of the base of both, "
        f"{apart[2]:.0f} degrees apart. Beside it the bits over the number of embeddings, 1 to {MOST}, that share a base: "
        f"those from the view grow to {known[-1][0]:.0f}, those from its base stay at {known[-1][1]:.0f}.",
    )
