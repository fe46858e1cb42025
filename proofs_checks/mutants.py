"""Wrong implementations, one fault each, that the checks have to turn away."""

from collections.abc import Callable

import numpy as np

from .matrices import OURS, Implementation, Matrix

__all__ = ["MUTANTS", "uncertified", "wrong_where"]

Where = Callable[[Matrix, float], bool]


def wrong_where(where: Where, change: Callable[[Matrix], Matrix] = lambda base: 1.001 * base) -> Implementation:
    """Return what is ours, except that the base is changed where a predicate on the matrix and the ridge is true."""

    def base(z: Matrix, ridge: float) -> Matrix:
        found = OURS.base(z, ridge)
        return change(found) if where(z, ridge) else found

    return Implementation(OURS.scale, base)


def uncertified(z: Matrix, ridge: float) -> bool:
    """Tell whether no matrix of this shape has its base certified by `geometry.certify`, so that it cannot notice a fault."""
    return z.shape not in ((4, 2), (2, 4), (4, 12), (2, 2))


def _spectral(z: Matrix, ridge: float, exponent: float) -> Matrix:
    values, vectors = np.linalg.eigh(z.T @ z)
    values = np.maximum(values, 0) + max(ridge, 1e-12)
    return z @ (vectors * values**exponent) @ vectors.T


def _wrong_exponent(z: Matrix, ridge: float) -> Matrix:
    return _spectral(z, ridge, -1.0)


def _root_for_its_inverse(z: Matrix, ridge: float) -> Matrix:
    return _spectral(z, ridge, 0.5)


def _cholesky(z: Matrix, ridge: float) -> Matrix:
    """Whiten by the triangular factor: orthonormal, but not the nearest."""
    gram = z.T @ z + max(ridge, 1e-9) * np.eye(z.shape[1])
    return np.linalg.solve(np.linalg.cholesky(gram), z.T).T


def _without_ridge(z: Matrix, ridge: float) -> Matrix:
    return OURS.base(z, 0.0)


def _ridge_left_in(z: Matrix, ridge: float) -> Matrix:
    return OURS.base(z, max(ridge, 1e-2))


def _embedding_instead(z: Matrix, ridge: float) -> Matrix:
    """Return the embedding itself, as where a failing decomposition is passed over in silence."""
    return z.copy()


def _no_right_vectors(z: Matrix, ridge: float) -> Matrix:
    """Take the left singular vectors as the base."""
    u, s, _ = np.linalg.svd(z, full_matrices=False)
    return (u * s / np.sqrt(s**2 + max(ridge, 1e-12))) @ np.eye(len(s), z.shape[1])


def _swapped_side(z: Matrix, ridge: float) -> Matrix:
    """Take the left singular vectors for the right ones."""
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    return (u * s / np.sqrt(s**2 + max(ridge, 1e-12))) @ vt[::-1]


def _without_centring(z: Matrix) -> Matrix:
    return z / np.linalg.norm(z, axis=0)


def _one_less(z: Matrix) -> Matrix:
    """Divide by the standard deviation of a sample, with N - 1."""
    return OURS.scale(z) * np.sqrt((len(z) - 1) / len(z))


def _swallowed(z: Matrix) -> Matrix:
    """Return zeros where Eq. 7 is not defined, and say nothing."""
    try:
        return OURS.scale(z)
    except ValueError:
        return np.zeros_like(z)


MUTANTS = {
    "exponent -1": Implementation(OURS.scale, _wrong_exponent),
    "exponent 1/2": Implementation(OURS.scale, _root_for_its_inverse),
    "Cholesky": Implementation(OURS.scale, _cholesky),
    "no ridge": Implementation(OURS.scale, _without_ridge),
    "a ridge left in": Implementation(OURS.scale, _ridge_left_in),
    "base := embedding": Implementation(OURS.scale, _embedding_instead),
    "swapped side": Implementation(OURS.scale, _swapped_side),
    "no right vectors": Implementation(OURS.scale, _no_right_vectors),
    "no centring": Implementation(_without_centring, OURS.base),
    "N - 1 for N": Implementation(_one_less, OURS.base),
    "swallowed exception": Implementation(_swallowed, OURS.base),
}
