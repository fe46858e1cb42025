"""How points and bases lie: equidistant vectors, and the instance level against the feature level."""

import numpy as np
from flint import fmpq, fmpq_mat
from scipy.linalg import polar

from arb_suite.audit.finding import Finding

from . import exact
from .judge import QUICK, Effort, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix, centred, deficient, tall
from .smallest import SMALLEST, TETRAHEDRON, TURNED
from .theorem_2 import FOUR_SAMPLES, counterexample

__all__ = ["certify", "three_by_four"]

# Of Z, of its base with the ridge 16, and of 4 (Z^T Z + 16 I)^(-1/2) and 4 (Z Z^T + 16 I)^(-1/2) - I
SPECTRA = {"z": (3, "15/2"), "base": ("3/5", "15/17"), "right": ("4/5", "8/17"), "left": ("-1/5", "-9/17")}


def _diagonal(*entries: str | int) -> fmpq_mat:
    return exact.rational([[entry if i == j else 0 for j in range(len(entries))] for i, entry in enumerate(entries)])


def _of_both_sides() -> tuple[fmpq_mat, fmpq_mat]:
    """
    Return Z, N = 4 and d = 2, and its base with the ridge 16, as rationals; certified by the root of either side.

    With R = (Z^T Z + 16 I)^(1/2), [Z; 4 I] = [B; 4 R^(-1)] R has orthonormal columns times R: B is the upper part of a polar
    factor. Likewise [Z^T; 4 I] for the root of the other side.
    """
    q, w = exact.rational(FOUR_SAMPLES["base"], over=2), exact.rational([[3, -4], [4, 3]], over=5)
    z, base = (q * _diagonal(*SPECTRA[name]) * w.transpose() for name in ("z", "base"))
    right = w * _diagonal(*SPECTRA["right"]) * w.transpose()
    left = _diagonal(1, 1, 1, 1) + q * _diagonal(*SPECTRA["left"]) * q.transpose()
    for m, b, lower in ((z, base, right), (z.transpose(), base.transpose(), left)):
        fours = _diagonal(*[4] * m.ncols())
        exact.certify_base(*(fmpq_mat(upper.tolist() + below.tolist()) for upper, below in ((m, fours), (b, lower))))
    return z, base


def three_by_four() -> fmpq_mat:
    """Return three orthonormal, centred columns of N = 4, four times over and scaled: d = 12. The base is half of it."""
    z = exact.rational([row * 4 for row in TETRAHEDRON], over=2)
    exact.certify_scaled(z)
    assert z * z.transpose() * z == z * _diagonal(*[4] * 12)  # so that B = Z/2 has B B^T B = B, and Z = B (2 B^T B)
    return z


def certify(implementation: Implementation) -> None:
    """Raise AssertionError unless an implementation gives what is known exactly, with a ridge and without full rank too."""

    def same(left: Matrix, right: Matrix) -> None:
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-10)

    z, _, base = (exact.floats(m) for m in counterexample())
    same(implementation.scale(3 * z + np.array([2.0, -1.0])), z)
    same(implementation.base(z, 0.0), base)
    z, base = (exact.floats(m) for m in _of_both_sides())
    same(implementation.base(z, 16.0), base)
    same(implementation.base(z.T, 16.0), base.T)
    z, base = (np.array(TURNED[name], float) for name in ("z", "base"))
    same(implementation.base(z, 0.0), base)
    z = exact.floats(three_by_four())
    same(implementation.base(z, 0.0), z / 2)


@theory("X2")
def equidistant(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare the rank of N equidistant unit vectors with N + 1. `other`: with N - 1.

    Distinct equidistant unit vectors have the Gram matrix (1 - c) I + c 1 1^T, c < 1, with the eigenvalue 1 - c > 0 at least
    N - 1 times; the other one, 1 + (N - 1) c, is 0 for the regular simplex alone.
    """
    least = -1 if other else 1

    def gap(gram: fmpq_mat) -> float:
        n, c = gram.nrows(), gram[0, 1]
        assert c < 1
        assert gram == equal(n, c)
        return n + least - gram.rank()

    def equal(n: int, c: fmpq) -> fmpq_mat:
        return fmpq_mat([[1 if i == j else c for j in range(n)] for i in range(n)])

    def draw(rng: np.random.Generator) -> fmpq_mat:
        n = int(rng.integers(2, 11))
        return equal(n, fmpq(-1, n - 1) + fmpq(n, n - 1) * fmpq(int(rng.integers(0, 1000)), 1000))

    SMALLEST["X2"]()
    points = exact.rational(TETRAHEDRON)
    tetrahedron = points * points.transpose() * _diagonal(*["1/3"] * 4)
    simplices = {n: equal(n, fmpq(-1, n - 1)) for n in range(2, 11)}
    found = judge(Statement(gap, draw, proved=other, known=(tetrahedron, *simplices.values())), effort)
    if other:
        reached = 0
        for n, gram in simplices.items():
            points = centred(np.random.default_rng(n), n) * (n / (n - 1)) ** 0.5  # N of N - 1 coordinates each
            reached += np.allclose(points @ points.T, exact.floats(gram), atol=1e-12)
        verdict = found.verdict if reached == len(simplices) else "inconclusive"
        return Finding(verdict, f"no rank is below N - 1: {found.tried}, exactly; it is reached in {reached} of 9 N, 2 to 10")
    return Finding(
        found.verdict,
        f"N = 4: (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1), each over sqrt(3), are unit vectors in {points.rank()}"
        f" dimensions, and all squared distances are {2 - 2 * tetrahedron[0, 1]}, exactly; N = 2: 1 and -1, in one dimension",
        condition="read as N equidistant unit vectors; N orthonormal vectors that are centred, as Eq. 7 makes the rows at the"
        " instance level, do need N + 1 dimensions, as they are orthogonal to (1, .., 1) too",
        correction="the least dimension is N - 1, that of the regular simplex",
    )


def _any_shape(rng: np.random.Generator, implementation: Implementation) -> Matrix:
    """Draw a matrix, N or d larger, scaled or not, of full rank or not."""
    kind = rng.integers(3)
    if kind == 2:
        return implementation.scale(rng.standard_normal(rng.integers(2, 10, 2)))
    z = (tall, deficient)[kind](rng)
    return z.T if rng.integers(2) else z


@theory("X3")
def levels(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare the base of the columns of Z with that of its rows. `other`: that they are identical.

    With Z = U S V^T, Z (Z^T Z + r I)^(-1/2) and (Z Z^T + r I)^(-1/2) Z are both U S (S^2 + r I)^(-1/2) V^T. Independent of it:
    the first N rows of the polar factor of [Z; sqrt(r) I], by SciPy, are the base, if r > 0 or Z has full column rank.
    """
    certify(implementation)
    SMALLEST["X3"]()

    def gap(case: tuple[Matrix, float]) -> float:
        z, ridge = case
        columns, rows = implementation.base(z, ridge), implementation.base(z.T, ridge).T
        for base, m in ((columns, z), (rows.T, z.T)):
            if ridge > 0 or np.linalg.matrix_rank(m) == m.shape[1]:
                stacked = np.vstack([m, ridge**0.5 * np.eye(m.shape[1])])
                np.testing.assert_allclose(base, polar(stacked)[0][: len(m)], rtol=0, atol=1e-7)
        return float(np.abs(columns - rows).max())

    def draw(rng: np.random.Generator) -> tuple[Matrix, float]:
        return _any_shape(rng, implementation), float(rng.choice([0.0, 1e-4, 10.0 ** rng.uniform(-3, 1)]))

    found = judge(Statement(gap, draw, proved=True), effort)
    evidence = (
        f"Z (Z^T Z + r I)^(-1/2) = (Z Z^T + r I)^(-1/2) Z, whatever N, d and r: identical to rounding in {found.drawn} of"
        f" {found.drawn} cases of any shape and rank; in exact rationals for a 4 x 2 matrix with the singular values 3 and 15/2"
        " and the ridge 16, where both bases have the singular values 3/5 and 15/17, and for its transpose, d >= N"
        if found.verdict == "holds"
        else f"the two differ: {found.tried}"
    )
    if other:
        return Finding(found.verdict, evidence)
    return Finding(
        {"holds": "refuted", "refuted": "inconclusive"}[found.verdict],
        evidence,
        condition="scaling set aside",
        correction="the bases are identical; what differs is what Eq. 7 scales, columns or rows, and which products are summed,"
        " those of columns or those of rows",
    )
