"""Theorem 3: the mutual information of a view with the base of the other one, next to that with the other view itself.

B^B = M(Z^B) is a function of Z^B, but Z^B is not one of B^B, not even for full column rank: Z = B P has the base B for every
symmetric positive definite P. Entropies are those of finite laws, in bits, and each outcome is an embedding matrix whose base
the implementation is asked for. Continuous embeddings are kept apart: where one view is a deterministic function of the other,
as in Z^A = Z^B, the mutual information of laws with a density is infinite.
"""

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from math import log, log2, sqrt
from typing import NamedTuple

import numpy as np

from arb_suite.audit.finding import Finding

from .ensembles import COLUMNS, ROOTS, Ensemble, certified, draw_ensemble, draw_scaled, ensemble, known_base
from .information import Law, Number, both, draw_weights, entropy, gaussian_information, information, labelled, marginal
from .judge import QUICK, Effort, Judgement, Statement, judge, theory
from .matrices import OURS, Implementation, Matrix
from .shared_base import BATCHES, ENCODERS, as_ensemble, law_of, twins
from .smallest import SMALLEST

__all__ = ["Rows"]

COLUMNS_BY_HAND = "N = 4, d = 2, u = (1, 1, -1, -1)/2, v = (1, -1, 1, -1)/2, w = (1, -1, -1, 1)/2"
BY_HAND = (
    f"{COLUMNS_BY_HAND}: with B_1 = (u, v), B_2 = (u, w), P_1 = [[4, 3], [3, 4]]/5 and P_2 = [[4, -3], [-3, 4]]/5, the four"
    " matrices B_i P_j are standard-scaled, have full column rank and the bases B_i; in exact rationals and bits,"
)


class Rows(NamedTuple):
    """A scaled matrix, whose Sigma maps rows z, and its base; a law of (a, j), where z is row j; a covariance of (a, z)."""

    matrix: Matrix
    base: Matrix
    rows: Matrix
    law: Law
    covariance: Matrix


def _finding(found: Judgement, evidence: str, true: str) -> Finding:
    if found.verdict == "refuted":
        return Finding(found.verdict, evidence, correction=f"true is {true}")
    return Finding(found.verdict, f"{true}: {found.tried}")


def _judged(
    claim: str, gap: Callable, implementation: Implementation, effort: Effort, other: bool, known: Ensemble
) -> Judgement:
    """Judge a statement about ensembles, on the smallest first; it is the correction that is proved."""
    SMALLEST[claim]()
    smallest = as_ensemble(twins("Z_1" if claim == "T3.chain" else ""), implementation)
    draw = partial(draw_ensemble, implementation=implementation)
    return judge(Statement(gap, draw, proved=other, known=(smallest, known)), effort)


@theory("T3")
def base_informs_more(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare I(Z^A; B^B) to I(Z^A; Z^B). `other`: data processing, and when it is an equality.

    As B is a function of Z, I(A; Z) = I(A; Z, B) = I(A; B) + I(A; Z | B), for laws of every kind. The last term is the
    divergence D(p || q) of p = p(a, z) from q = p(a | b(z)) p(z). It is at least 2 TV(p, q)^2 nats (Pinsker) and, by Jensen,
    at most log sum p^2/q = log(1 + chi^2(p, q)). Both bounds are 0 exactly where p = q: where A and Z are independent given B.
    """

    def gap(case: Ensemble) -> float:
        more, less = map(float, both(case.law))
        if not other:
            return more - less
        p_az, p_ab, p_b = (marginal(case.law, names) for names in ("AZ", "AB", "B"))
        pairs = [
            (float(p_az.get((a, z), 0)), float(p_a * p_z / p_b[b,]))
            for (z, b), p_z in marginal(case.law, "ZB").items()
            for (a, shared), p_a in p_ab.items()
            if shared == b
        ]
        variation, chi_squared = sum(abs(p - q) / 2 for p, q in pairs), sum((p - q) ** 2 / q for p, q in pairs)
        return max(2 * variation**2 / log(2) - (more - less), more - less - log2(1 + chi_squared))

    case = ensemble(implementation, 2, 2)
    with_view, with_base = both(case.law)
    return _finding(
        _judged("T3", gap, implementation, effort, other, case),
        f"{BY_HAND} I(Z^A; Z^B) = {with_view} and I(Z^A; B^B) = {with_base} for Z^A = Z^B uniform over these four",
        "I(Z^A; B^B) <= I(Z^A; Z^B), with equality exactly where Z^A and Z^B are independent given B^B",
    )


@theory("T3.entropy")
def entropies(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Require H(B^B) >= H(Z^B) and H(B^B | Z^B) = 0 of the same law. `other`: H(B^B) <= H(Z^B), and h(b) >= h(z) for densities.

    Discrete: H(Z) = H(Z, B) = H(B) + H(Z | B), as H(B | Z) = 0. Differential, for single rows with Sigma held fixed:
    b = Sigma^(-1/2) z has h(b) = h(z) - (1/2) log det Sigma, and det Sigma <= 1 by Hadamard, as the diagonal of Sigma is 1;
    but given z the law of b is a point, so that h(b | z) is minus infinity. Whole scaled batches have no density.
    """

    def gap(case: Ensemble) -> float:
        h_z, h_b, b_given_z = (entropy(case.law, *names) for names in ("Z", "B", "BZ"))
        if not other:
            return float(max(h_z - h_b, b_given_z))
        gaps = [h_b - h_z, abs(h_z - h_b - entropy(case.law, "Z", "B")), b_given_z]
        for z in case.views:
            gain = np.linalg.slogdet(np.linalg.pinv(z) @ implementation.base(z, 0.0))[1]
            gaps += [-gain, abs(gain + np.linalg.slogdet(z.T @ z)[1] / 2)]
        return float(max(gaps))

    case = ensemble(implementation, 2, 2)
    h_z, h_b, b_given_z = (entropy(case.law, *names) for names in ("Z", "B", "BZ"))
    p, q, r = ROOTS[0]
    return _finding(
        _judged("T3.entropy", gap, implementation, effort, other, case),
        f"{BY_HAND} H(Z^B) = {h_z}, H(B^B) = {h_b} and H(B^B | Z^B) = {b_given_z} for Z^B uniform over these four; differential"
        " entropy meets the first half, never the second: for single rows with Sigma held fixed, h(b) - h(z) = -(1/2) log det"
        f" Sigma >= 0 (det Sigma = {Fraction(p * p - q * q, r * r) ** 2} for B_1 P_1), and h(b | z) is minus infinity",
        "H(B^B) = H(Z^B) - H(Z^B | B^B) <= H(Z^B) for discrete entropy, of which H(B^B | Z^B) = 0; and h(b) = h(z) - (1/2) log"
        " det Sigma >= h(z) for the differential entropy of single rows with Sigma held fixed, of which h(b | z) is not 0",
    )


@theory("T3.chain")
def chain_rule(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare the three sides of Eq. 15. `other`: the chain rule, with the second terms exchanged.

    p(b, z | a) = p(b | z, a) p(z | a) = p(z | b, a) p(b | a); take the mean of the logarithms. As H(B | Z, A) = 0, the printed
    sides are H(Z | A), H(B | A) and H(Z | B, A) + H(Z | A): they are equal exactly where H(Z | B, A) = 0.
    """
    left, right = ("Z", "B") if other else ("B", "Z")

    def sides(law: Law) -> tuple[Number, Number, Number]:
        terms = [entropy(law, *names) for names in (("BZ", "A"), ("B", "ZA"), (left, "A"), ("Z", "BA"), (right, "A"))]
        return terms[0], terms[1] + terms[2], terms[3] + terms[4]

    case = ensemble(implementation, 2, 2, root_a=0)
    whole, first, second = sides(case.law)
    return _finding(
        _judged("T3.chain", lambda drawn: max(sides(drawn.law)) - min(sides(drawn.law)), implementation, effort, other, case),
        f"{BY_HAND} H(B,Z|A) = {whole}, H(B|Z,A) + H(B|A) = {first} and H(Z|B,A) + H(Z|A) = {second} for Z^B = B_i P_j uniform"
        " over these four and Z^A = B_i P_1",
        "H(B,Z|A) = H(B|Z,A) + H(Z|A) = H(Z|B,A) + H(B|A)",
    )


@theory("T3.fullrank.batch")
def equal_for_batches(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare the two mutual informations of whole batches of full column rank. `other`: what they differ by.

    I(A; Z) = I(A; Z, B) as B is a function of Z, and the chain rule of mutual information is the correction. Full rank does not
    make its last term 0: the base B of Z = B P leaves P open.
    """

    def gap(drawn: Ensemble) -> float:
        more, less = both(drawn.law)
        return abs(more - less - (information(drawn.law, "Z", "A", "B") if other else 0))

    case = ensemble(implementation, 2, 2)
    with_view, with_base = both(case.law)
    return _finding(
        _judged("T3.fullrank.batch", gap, implementation, effort, other, case),
        f"{BY_HAND} I(Z^A; Z^B) = {with_view}, I(Z^A; B^B) = {with_base} and I(Z^A; Z^B | B^B) ="
        f" {information(case.law, 'Z', 'A', 'B')} for Z^A = Z^B uniform over these four",
        "I(Z^A; Z^B) = I(Z^A; B^B) + I(Z^A; Z^B | B^B), so that the two are equal exactly where the last term is 0",
    )


def _row_informations(case: Rows, implementation: Implementation) -> list[tuple[Number, Number]]:
    """Return I(a; z) and I(a; b) for the finite law and for the Gaussian one; b = Sigma^(-1/2) z, from the base as computed."""
    inverse_root = np.linalg.pinv(case.matrix) @ known_base(implementation, case.matrix, case.base)
    z, b = labelled(case.rows), labelled(case.rows @ inverse_root)
    law: Law = defaultdict(int)
    for (a, j), p in case.law.items():
        law[a, z[j], b[j]] += p
    u, s, _ = np.linalg.svd(inverse_root)  # u s: the same map, as coordinates in its range
    return [
        both(law),
        tuple(gaussian_information(case.covariance, to) for to in (np.eye(len(s)), (u * s)[:, s > 1e-9 * s[0]])),
    ]


def _draw_rows(rng: np.random.Generator) -> Rows:
    """Draw a matrix, rows of which some are its own, repeated, and laws."""
    (z,), (base,) = draw_scaled(rng, [0])
    rows = np.vstack([z, z[: int(rng.integers(0, len(z)))], rng.standard_normal((int(rng.integers(0, 4)), z.shape[1]))])
    factor = rng.standard_normal((2 * z.shape[1], 2 * z.shape[1] + 2))
    return Rows(z, base, rows, draw_weights(rng, labelled(rows)), factor @ factor.T + 0.1 * np.eye(len(factor)))


@theory("T3.fullrank.row")
def equal_for_rows(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Compare the two mutual informations of single rows, Sigma held fixed. `other`: whatever the rank of Sigma.

    b = Sigma^(-1/2) z and z = Sigma^(1/2) b: each is a function of the other one, so that data processing, both ways, gives
    equality for every law. For Gaussian rows T = Sigma^(-1/2) cancels in I = (1/2) log(det S_a det S_z / det S): det T^2 is a
    factor above and below. Where Sigma has a kernel, rows that differ by a vector of it have the same b.
    """
    covariance = np.kron([[2, 1], [1, 2]], np.eye(2))
    z, base = certified(0, 0)
    full = Rows(z, base, z, {(j, j): Fraction(1, 4) for j in range(4)}, covariance)
    twice = np.array([COLUMNS["u"]] * 2).T / 2
    deficient = Rows(twice, twice / sqrt(2), np.eye(2), {(j, j): Fraction(1, 2) for j in range(2)}, covariance)

    def gap(case: Rows) -> float:
        return max(abs(float(one - two)) for one, two in _row_informations(case, implementation))

    found = judge(Statement(gap, _draw_rows, proved=not other, known=(full, deficient) if other else (full,)), effort)
    (with_row, with_base), _ = _row_informations(deficient if other else full, implementation)
    if found.verdict == "refuted":
        return Finding(
            found.verdict,
            "two equal features (1, 1, -1, -1)/2 have Sigma = [[1, 1], [1, 1]], and z = (1, 0) and z = (0, 1), rows of another"
            f" batch, have the same b; for a = z uniform over the two, I(a; z) = {with_row} and I(a; b) = {with_base}",
        )
    return Finding(
        found.verdict,
        f"I(a; z) = I(a; b), b = Sigma^(-1/2) z, for finite laws of rows and for Gaussian rows: {found.tried}; the four rows of"
        f" Z = B P, B = ((1, 1, -1, -1), (1, -1, 1, -1))/2, P = [[4, 3], [3, 4]]/5, equally likely, have {with_row} and"
        f" {with_base} bits for a = z",
        condition="read for single rows, with Sigma of full rank held fixed",
    )


@theory("T3.argmax")
def same_maximisers(implementation: Implementation = OURS, effort: Effort = QUICK, other: bool = False) -> Finding:
    """
    Take several encoders, and look how far those that maximise one mutual information are below the maximum of the other.

    `other`: where each encoder has one Sigma for all its outcomes. Then Z^B = B^B Sigma^(1/2) is a function of B^B, for every
    encoder both informations are equal, and so are the maximisers. In general only this is left: an encoder whose I(Z^A; B^B)
    is the maximum of I(Z^A; Z^B) maximises both, as I(Z^A; B^B) <= I(Z^A; Z^B).
    """

    def gap(encoders: tuple[Ensemble, ...]) -> float:
        values = np.array([both(encoder.law) for encoder in encoders], float)
        best = values.max(0)
        return float(max((best[1 - k] - values[values[:, k] > best[k] - 1e-9, 1 - k]).max() for k in range(2)))

    def draw(rng: np.random.Generator) -> tuple[Ensemble, ...]:
        return tuple(draw_ensemble(rng, implementation, one_root=other) for _ in range(3))

    roots, few, many = (ensemble(implementation, *sizes) for sizes in ((1, 4), (2, 1), (4, 1)))
    SMALLEST["T3.argmax"]()
    smallest = tuple(as_ensemble(law_of(outcomes, BATCHES), implementation) for outcomes in ENCODERS)
    known = ((few, many),) if other else (smallest, (roots, few), (roots, few, many))
    values = [" and ".join(map(str, both(encoder.law))) for encoder in (roots, few, many)]
    return _finding(
        judge(Statement(gap, draw, proved=other, known=known), effort),
        f"{COLUMNS_BY_HAND}, in exact rationals and bits, for uniform Z^A = Z^B = B P: an encoder with one base (u, v) and four"
        " roots P = [[4, 3], [3, 4]]/5, [[4, -3], [-3, 4]]/5, [[12, 5], [5, 12]]/13, [[12, -5], [-5, 12]]/13 has I(Z^A; Z^B)"
        f" and I(Z^A; B^B) = {values[0]}, one with two bases, (u, v) and (u, w), and the first root has {values[1]}, so that of"
        f" these two each maximises another one; a third with four bases, (v, w) and (v, u) too, has {values[2]}, and of all"
        " three the first maximises I(Z^A; Z^B) and not I(Z^A; B^B)",
        "argmax I(Z^A; B^B) = argmax I(Z^A; Z^B) over encoders each of which has one Sigma for all outcomes of Z^B",
    )
