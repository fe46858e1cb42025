"""Properties of costs and of groups: sec. 3.2.4."""

import numpy as np
from hypothesis import strategies as st

from ..cost import Size, formula, formula_operations, objective, smaller_side, smaller_side_operations
from ..matrices import Implementation
from . import strategies
from .statement import about, at_most, equal
from .strategies import Views


@about("X1", st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 8)))
def operations_are_the_stated_polynomials(implementation: Implementation, case: tuple[int, int, int]) -> None:
    n, m, p = case
    size = Size(n, m * p, p)
    assert formula(size) == formula_operations(size) == p * (4 * n * m**2 + 11 * m**3)
    assert smaller_side(size) == smaller_side_operations(size) == p * (4 * n * m * min(n, m) + 11 * min(n, m) ** 3)
    assert objective(size) == 2 * n * m * p


@about("O3, T1.rank", st.tuples(strategies.views(kinds=("unrelated",)), st.integers(2, 5)))
def groups_have_full_rank_from_one_feature_less_than_samples_on(
    implementation: Implementation, case: tuple[Views, int]
) -> None:
    views, p = case
    n, m = views.a.shape
    for group in (views.a, views.b):
        z = implementation.scale(group)
        base = implementation.base(z, 0.0)
        missing = max(m - n + 1, 0)
        equal(np.linalg.norm(base.T @ base - np.eye(m)), missing**0.5, 1e-6)
        at_most(np.linalg.matrix_rank(np.tile(z, p), tol=1e-9), m - missing)  # equal groups repeat, and see nothing of it
    one, split = (smaller_side_operations(Size(n, m * p, count)) for count in (1, p))
    if m >= n:
        assert split > one
