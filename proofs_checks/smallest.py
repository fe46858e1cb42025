"""The smallest counterexamples to claims that need no search: whole numbers, and what they show, without rounding.

Each function of `SMALLEST` raises AssertionError unless its matrices deny the claim. The checks call it, and compare with what
the implementation makes of the matrices; the report shows what it returns. `search.shrink` has those that were searched for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from flint import arb, fmpq, fmpq_mat

from . import exact
from .information import both, entropy
from .matrices import Matrix
from .shared_base import BATCHES, ENCODERS, FAMILY, correlation, law_of, twins

__all__ = [
    "ALIKE",
    "COLLAPSED",
    "OPPOSITE",
    "SMALLEST",
    "TETRAHEDRON",
    "TURNED",
    "TWO_SAMPLES",
    "Shown",
    "products_at_collapse",
    "scaled",
]

TWO_SAMPLES = [[1, 0], [0, 1]]
# Scaled matrices, times sqrt(2): of two samples a feature is one of two; views of one feature; two equal features
ALIKE = [[1, 1], [-1, -1]]
OPPOSITE = [[1], [-1]], [[-1], [1]]
COLLAPSED = [[1, 1], [-1, -1], [0, 0]]
TETRAHEDRON = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
TURNED = {"z": [[-1, -2], [2, 1]], "base": [[0, -1], [1, 0]], "right": [[2, 1], [1, 2]], "left": [[2, -1], [-1, 2]]}
RIDGES = ("0", "0.0001")
RAW = "raw embeddings, rows are samples"


@dataclass(frozen=True)
class Shown:
    """
    A counterexample as it is shown.

    Attributes
    ----------
    matrices : list of (str, list of list of str)
        Each with its name.
    says : list of str
        What is seen, a line each.

    """

    matrices: list[tuple[str, list[list[str]]]]
    says: list[str]


def _text(matrix: fmpq_mat | Sequence[Sequence[int]]) -> list[list[str]]:
    return [[str(entry) for entry in row] for row in (matrix.tolist() if isinstance(matrix, fmpq_mat) else matrix)]


def _times_sqrt_2(rows: Sequence[Sequence[int]]) -> fmpq_mat:
    """Return a matrix after making sure that it is sqrt(2) times a scaled one."""
    matrix = exact.rational(rows)
    for column in matrix.transpose().tolist():
        assert sum(column, fmpq(0)) == 0
        assert sum((entry * entry for entry in column), fmpq(0)) == 2
    return matrix


def scaled(rows: Sequence[Sequence[int]]) -> Matrix:
    """Return a scaled matrix from sqrt(2) times it."""
    return exact.floats(_times_sqrt_2(rows)) / 2**0.5


def _rank() -> Shown:
    """Two samples: the raw embeddings have full column rank, the centred ones have not, and scaling changes no rank."""
    raw, after = exact.rational(TWO_SAMPLES), exact.centred(TWO_SAMPLES)
    assert raw.nrows() >= raw.ncols() == raw.rank() > after.rank()
    return Shown(
        [("Z", _text(raw)), ("Z centred", _text(after))],
        [f"{RAW}: rank {raw.rank()}; after centring, as in Eq. 7, rank {after.rank()}, which scaling does not change"],
    )


def _zero() -> Shown:
    """
    Take the least loss over all scaled views of two samples and two features.

    A scaled feature is z = (1, -1)/sqrt(2) or -z, so that Z = z s^T for signs s, and Z Z^T z = 2 z: Eq. 9 divides Z by
    sqrt(2 + lambda).
    """
    u = _times_sqrt_2(ALIKE)
    assert u * u.transpose() * u == 4 * u  # Z Z^T Z = 2 Z
    signs = list(product((1, -1), repeat=2))
    pairs = list(product(signs, signs))
    says = []
    for ridge in RIDGES:
        length = 1 / (2 + arb(ridge)).sqrt()
        losses = [2 * sum((1 - s * t * length) ** 2 for s, t in zip(a, b, strict=True)) for a, b in pairs]
        least = 4 * (1 - length) ** 2  # where the signs of both views are equal
        assert least > 0
        assert all(loss > least for loss, (a, b) in zip(losses, pairs, strict=True) if a != b)
        says.append(f"L_ARB = {float(least.mid()):.6f}, above 0 (lambda = {ridge})")
    return Shown(
        [("sqrt(2) Z^A = sqrt(2) Z^B", _text(u))],
        [
            "scaled views; of two samples every feature is scaled to (1, -1)/sqrt(2) or its negative, and of all"
            f" {len(pairs)} choices of signs none has a lower loss:",
            *says,
        ],
    )


def _of_family(names: Sequence[str], *says: str) -> Shown:
    return Shown([(name, _text(FAMILY[name])) for name in names], list(says))


TWINS = f"{RAW}; scaled by Eq. 7 they differ, and have the same base. Z^B is the one or the other, equally likely"


def _informations() -> Shown:
    with_view, with_base = both(twins())
    assert with_base < with_view
    return _of_family(
        ("Z_1", "Z_2"),
        f"{TWINS}, and Z^A = Z^B:",
        f"I(Z^A; B^B) = {with_base}, below I(Z^A; Z^B) = {with_view}, in bits",
    )


def _entropies() -> Shown:
    h_z, h_b, b_given_z = (entropy(twins(), *names) for names in ("Z", "B", "BZ"))
    assert h_b < h_z
    assert b_given_z == 0
    return _of_family(
        ("Z_1", "Z_2"), f"{TWINS}:", f"H(B^B) = {h_b}, below H(Z^B) = {h_z}, with H(B^B | Z^B) = {b_given_z}, in bits"
    )


def _chain() -> Shown:
    law = twins("Z_1")
    whole, *parts = (entropy(law, *names) for names in (("BZ", "A"), ("B", "ZA"), ("B", "A"), ("Z", "BA"), ("Z", "A")))
    sides = whole, parts[0] + parts[1], parts[2] + parts[3]
    assert len(set(sides)) > 1
    return _of_family(
        ("Z_1", "Z_2"),
        f"{TWINS}, and Z^A is always Z_1:",
        f"H(B,Z|A) = {sides[0]}, H(B|Z,A) + H(B|A) = {sides[1]} and H(Z|B,A) + H(Z|A) = {sides[2]}, in bits",
    )


def _full_rank() -> Shown:
    with_view, with_base = both(twins())
    determinants = {1 - correlation(name) ** 2 for name in ("Z_1", "Z_2")}  # of Sigma
    assert all(determinant > 0 for determinant in determinants)
    assert with_view != with_base
    return _of_family(
        ("Z_1", "Z_2"),
        f"{TWINS}, and Z^A = Z^B. Both have full column rank (det Sigma = {' and '.join(map(str, determinants))}):",
        f"I(Z^A; Z^B) = {with_view} and I(Z^A; B^B) = {with_base}, in bits",
    )


def _argmax() -> Shown:
    (view_1, base_1), (view_2, base_2) = (both(law_of(outcomes, BATCHES)) for outcomes in ENCODERS)
    assert view_1 > view_2
    assert base_1 < base_2
    made = [", ".join(outcomes) for outcomes in ENCODERS]
    return _of_family(
        tuple(FAMILY),
        f"{RAW}; scaled by Eq. 7 the first three have the same base, the last has another. Of batches with the probabilities"
        f" {', '.join(map(str, BATCHES))} one encoder makes {made[0]}, another one {made[1]}; Z^A = Z^B:",
        f"I(Z^A; Z^B) = {view_1} and {view_2} bits: the first encoder has the most",
        f"I(Z^A; B^B) = {base_1} and {base_2} bits: the second has",
    )


def _gradient() -> Shown:
    """
    Differentiate by hand: one feature of two samples, whose base is itself.

    L = (1 - <z, b>)^2 is a square in each entry of z, so that its central difference is its slope. With u = sqrt(2) z and
    v = sqrt(2) b, <z, b> = u^T v/2, and sqrt(2) dL/dz = 2 dL/du.
    """
    u, v = map(_times_sqrt_2, OPPOSITE)

    def loss(point: fmpq_mat) -> fmpq:
        return (1 - (point.transpose() * v)[0, 0] / 2) ** 2

    steps = [exact.rational([[int(i == k)] for i in range(2)]) for k in range(2)]
    slope = fmpq_mat([[loss(u + step) - loss(u - step)] for step in steps])
    c = (u.transpose() * v)[0, 0] / 2
    printed = 2 * (1 - c) * v
    assert slope == -printed
    assert slope != printed
    return Shown(
        [
            ("sqrt(2) z^A", _text(u)),
            ("sqrt(2) b^B", _text(v)),
            ("sqrt(2) dL/dz^A, as printed", _text(printed)),
            ("as differentiated", _text(slope)),
        ],
        [
            f"one feature of two samples; the inner product of the view with the base is {c}, and L = {loss(u)}. A step against"
            " the gradient as printed would raise L"
        ],
    )


def products_at_collapse() -> fmpq_mat:
    """
    Return the inner products of the gradients of two equal features z, with the base of Eq. 9 at lambda = 1/4.

    As Z Z^T z = 2 z, b_i = t z with t = 1/sqrt(2 + lambda), and both gradients are -2 (1 - t) t z by the corrected Eq. 16.
    """
    u = _times_sqrt_2(COLLAPSED)
    assert u * u.transpose() * u == 4 * u
    t = fmpq(2, 3)
    assert t * t * (2 + fmpq(1, 4)) == 1
    return (2 * (1 - t) * t) ** 2 * (u.transpose() * u) / 2


def _collapsed() -> Shown:
    """Multiply the gradients, at lambda = 1/4 and, in balls, at that of Eq. 9."""
    gram, root = products_at_collapse(), 1 / (2 + arb(RIDGES[1])).sqrt()
    printed = (2 * (1 - root) * root) ** 2
    assert gram[0, 1] != 0
    assert printed > 0
    return Shown(
        [("sqrt(2) Z^A = sqrt(2) Z^B", _text(COLLAPSED)), ("G^T G at lambda = 1/4", _text(gram))],
        [
            "scaled views, of the least size at which two features may be orthogonal; G has the gradients of the two features,"
            " with the base of Eq. 9:",
            f"their inner product is {gram[0, 1]}, not 0 (lambda = 1/4)",
            f"their inner product is {float(printed.mid()):.6f}, not 0 (lambda = {RIDGES[1]})",
        ],
    )


def _equidistant() -> Shown:
    """Count the dimensions of two points and of four: unit vectors, after division by sqrt(d), all at one distance."""
    matrices, counts = [], []
    for rows in ([[1], [-1]], TETRAHEDRON):
        points = exact.rational(rows)
        n, d = points.nrows(), points.ncols()
        gram = points * points.transpose()
        assert all(gram[i, i] == d for i in range(n))
        assert len({str(gram[i, j]) for i in range(n) for j in range(i)}) == 1
        assert gram[0, 1] < d
        assert points.rank() < n + 1
        matrices.append((f"{f'sqrt({d}) ' if d > 1 else ''}P_{n}", _text(points)))
        counts.append(f"N = {n} in {points.rank()}, not {n + 1}")
    return Shown(matrices, [f"rows are equidistant unit vectors: {'; '.join(counts)} dimensions"])


def _levels() -> Shown:
    """Compute one base from either side: the roots of Z^T Z and of Z Z^T are positive definite, and known."""
    z, base, right, left = (exact.rational(TURNED[name]) for name in ("z", "base", "right", "left"))
    assert exact.positive_definite(right)
    assert exact.positive_definite(left)
    assert right * right == z.transpose() * z
    assert left * left == z * z.transpose()
    by_columns, by_rows = z * right.inv(), left.inv() * z
    assert by_columns == by_rows == base
    assert right != left
    return Shown(
        [("Z", _text(z)), ("Z (Z^T Z)^(-1/2)", _text(by_columns)), ("(Z Z^T)^(-1/2) Z", _text(by_rows))],
        ["N = d = 2, lambda = 0: the base by columns (feature level) and by rows (instance level) is one matrix"],
    )


SMALLEST: Mapping[str, Callable[[], Shown]] = {
    "T1.rank": _rank,
    "T2.zero.ridge": _zero,
    "T3": _informations,
    "T3.entropy": _entropies,
    "T3.chain": _chain,
    "T3.fullrank.batch": _full_rank,
    "T3.argmax": _argmax,
    "T5.grad": _gradient,
    "T5.orth.collapsed.eq9": _collapsed,
    "X2": _equidistant,
    "X3": _levels,
}
