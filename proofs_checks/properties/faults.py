"""Faults planted in what a property is about: one statement of the property notices each, and no other does.

A fault is one of the implementation, of a function that the property calls or of the case. Some are as small as the tolerances,
or next to singular values that leave other statements of the property blind.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from .. import exact
from ..matrices import OURS, Implementation
from ..mutants import MUTANTS, wrong_where
from . import of_bases, of_losses, of_sizes
from .strategies import Competition, Law, Spectral, Views

__all__ = ["FAULTS", "Fault"]


class Fault(NamedTuple):
    """A property's name, a case that it is true of, and what is wrong: implementation, functions of its module, or case."""

    name: str
    case: Any
    implementation: Implementation
    patches: dict[str, Any]
    instead: Any


X, Y = np.array([[1, 1, -1, -1], [1, -1, 1, -1]]) / 2  # orthonormal and centred
PAIR = np.column_stack([X, Y])
TURNED, OTHER = PAIR @ [[0.8, 0.6], [0.6, 0.8]], PAIR @ [[0.8, -0.6], [-0.6, 0.8]]  # scaled; their base is PAIR
THREE = np.array([[1, 1], [-1, 1], [0, -2]]) @ [[2, -1, -1], [0, 1, -1]]  # at 120 degrees
TINY = 1e-8


def spectral(*s, n=0):
    """A diagonal matrix."""
    return Spectral(np.eye(n or len(s), len(s)), np.array(s, float), np.eye(len(s)))


def competition(*s, n=0, rival=1.0):
    """A diagonal matrix and a multiple of its base."""
    matrix = spectral(*s, n=n)
    return Competition(matrix, rival * matrix.with_values(np.ones(len(s))))


def views(a, b, kind="unrelated"):
    return Views(np.asarray(a, float), np.asarray(b, float), kind)


def changed(change):
    return wrong_where(lambda z, ridge: True, change)


def with_scale(change):
    return Implementation(lambda z: change(OURS.scale(z)), OURS.base)


def by_its_vectors(matrix):
    """Compute the base from singular vectors that need not be orthonormal."""
    return Implementation(OURS.scale, lambda z, ridge: matrix.with_values(matrix.s / np.sqrt(matrix.s**2 + ridge)))


def turned(angle):
    """Turn the first two columns of a base within the plane that they span."""
    cos, sin = np.cos(angle), np.sin(angle)
    return lambda b: b @ np.array([[cos, -sin], [sin, cos]])


def completions(change):
    """Change both minimisers, from their mean and half of their difference."""

    def wrong(z, correct=of_bases.two_completions):
        first, second = correct(z)
        return change((first + second) / 2, (first - second) / 2)

    return {"two_completions": wrong}


def forgotten(view):
    """Count no loss of one of the views."""
    correct = of_losses._losses
    return {"_losses": lambda z, base: (0.0, 0.0) if np.allclose(z, view) else correct(z, base)}


def off(name, **by):
    """Add to what a function of a law returns, by its names: `B_Z` is of B given Z."""
    correct = getattr(of_losses, name)

    def wrong(*args, given=""):
        return correct(*args, given=given) + by.get("_".join([*args[1:], given]).rstrip("_"), 0)

    return {name: wrong}


def scipy_with(**functions):
    return {"scipy": SimpleNamespace(linalg=SimpleNamespace(**{**vars(scipy.linalg), **functions}))}


def procrustes_wrong_for(rows):
    correct = scipy.linalg.orthogonal_procrustes
    return scipy_with(orthogonal_procrustes=lambda a, b: (correct(a, b)[0] * (1 - 2 * (len(a) == rows)), 1.0))


def times(module, name, factor):
    correct = getattr(module, name)
    return {name: lambda *args: factor * correct(*args)}


def differentiated(change):
    correct = of_losses.differentiate
    return {"differentiate": lambda x, base, raw=False: change(correct(x, base, raw), base)}


FAULTS: dict[str, Fault] = {}


def planted(fault, check, case, implementation=OURS, patches=(), instead=None):
    """Note a fault of a property."""
    name = check.__name__.replace("_", " ")
    FAULTS[f"{name}: {fault}"] = Fault(name, case, implementation, dict(patches), instead or case)


check = of_bases.no_orthonormal_matrix_is_nearer
ill = competition(1, 1e-5)  # a base may be off by 1e-8
planted("turned", check, competition(3, 2), changed(turned(1e-6)))
planted("not orthonormal", check, ill, changed(lambda b: b * [1 + 5e-9, 1]))
planted("rival not orthonormal", check, competition(2, 2), instead=competition(2, 2, rival=0.5))
planted("too long, next to tiny values", check, competition(1, *[1e-5] * 7, rival=-1), changed(lambda b: b * (1 + 4e-10)))
planted("too short, next to huge values", check, competition(1, *[1e5] * 7), changed(lambda b: b * (1 - 4e-10)))

check = of_bases.another_orthonormal_matrix_costs_a_positive_definite_form_of_the_distance
column = spectral(1, n=2)
planted("another range", check, Competition(column, np.array([[0.8], [0.6]])), changed(lambda b: b + np.array([[0], [0.6]])))
planted("turned", check, competition(3, 2), changed(turned(1e-6)))
planted("a sign", check, Competition(spectral(3, 2), np.diag([1.0, -1.0])), changed(lambda b: b * [1, -1]))
planted("rival not orthonormal", check, competition(2), instead=competition(2, rival=0.5))

check = of_bases.scipy_has_the_same_base_in_three_ways
planted("polar", check, spectral(3, 2, n=3), patches=scipy_with(polar=lambda z: (2 * scipy.linalg.polar(z)[0], None)))
planted("Procrustes by QR", check, spectral(3, 2, n=3), patches=procrustes_wrong_for(2))
planted("Procrustes, padded", check, spectral(3, 2, n=3), patches=procrustes_wrong_for(3))

check = of_bases.the_base_of_rationals_is_the_exact_one
one, two = exact.rational([[1]]), exact.rational([[2]])
planted("both negative", check, (two, one), changed(lambda b: -b), instead=(two, -one))
planted("too long", check, (two, one), changed(lambda b: b * (1 + TINY)))

check = of_bases.without_full_column_rank_two_matrices_are_nearest
planted("shifted", check, spectral(0, 1), changed(lambda b: b + 5e-12))  # less than the mean of the completions may be
planted("not orthonormal", check, spectral(0, 1), patches=completions(lambda m, c: ((1 + 1e-6) * m + c, (1 - 1e-6) * m - c)))
planted(
    "farther, next to tiny values",
    check,
    spectral(0, 1, *[1e-5] * 6),
    patches=completions(lambda m, c: ((1 + 4e-10) * m + c, (1 + 4e-10) * m - c)),
)
planted("both turned", check, spectral(0, 1), patches=completions(lambda m, c: map(turned(1e-6), (m + c, m - c))))
planted(
    "too far apart, next to huge values",
    check,
    spectral(1e5, *[0] * 7),
    patches=completions(lambda m, c: (m + (1 + 4e-10) * c, m - (1 + 4e-10) * c)),
)

check = of_bases.scaled_columns_have_norm_one_and_one_dimension_less
tall = views(TURNED, OTHER)
planted("not centred", check, tall, with_scale(lambda z: z + 1e-6))
planted("too long", check, tall, with_scale(lambda z: 1.001 * z))
planted("a column twice", check, tall, with_scale(lambda z: z[:, [0, 0]]))
planted("no basis", check, tall, changed(lambda b: 1.001 * b))

check = of_bases.the_pseudo_base_has_the_vectors_of_z_and_its_values_pushed_to_one
long, row = Spectral(np.diag([1, 1.2]), np.array([1.0, 10]), np.eye(2)), Spectral(np.ones((1, 1)), np.ones(1), np.eye(2, 1))
long_row = replace(row, u=1.2 * row.u)
planted("turned", check, (spectral(1, 1), 1.0), changed(turned(1e-7)))
planted("left vectors too long", check, (spectral(1, 10), 1e-4), by_its_vectors(long), instead=(long, 1e-4))
planted("the only left vector too long", check, (row, 1.0), by_its_vectors(long_row), instead=(long_row, 1.0))

check = of_bases.columns_and_rows_have_one_base
planted("rows too long", check, (spectral(3, 2, n=3), 0.0), wrong_where(lambda z, ridge: z.shape == (2, 3)))

check = of_bases.a_smaller_ridge_is_more_consistent_and_nearer_to_the_partial_isometry
ridges = spectral(1, 1), 1.0, 10.0
planted("half of the ridge", check, ridges, Implementation(OURS.scale, lambda z, ridge: OURS.base(z, ridge / 2)))
planted("more consistent", check, ridges, wrong_where(lambda z, ridge: ridge > 1, lambda b: 10 * b))
planted("farther", check, ridges, wrong_where(lambda z, ridge: ridge == 1, lambda b: b + 5 * np.array([[0, 1], [-1, 0]])))

check = of_bases.consistency_is_at_most_that_of_equal_singular_values
frames = views(THREE, THREE)
planted("too long", check, (frames, 1e-4), changed(lambda b: 1.001 * b))

check = of_losses.the_loss_and_the_distance_of_the_base_bound_the_invariance_term
collapsed, swapped = np.column_stack([X + Y, X + Y]), PAIR[:, [1, 0]]
related = views(collapsed, PAIR), 1e-8
planted("not centred", check, related, with_scale(lambda z: z + 1e-6))
planted("too long", check, related, with_scale(lambda z: 1.001 * z))
planted("one direction forgotten", check, related, patches=forgotten(collapsed / 2**0.5))
planted("the other one forgotten", check, (views(swapped, PAIR), 1e-8), patches=forgotten(PAIR))
single = np.array([[1.0], [-1.0]])
planted(
    "columns too long",
    check,
    (views(single, single), 1.0),
    patches={"_scaled": lambda implementation, case: (1.2 * single / 2**0.5, single / 2**0.5)},
)

check = of_losses.each_of_both_losses_bounds_the_other_at_full_column_rank
planted("not orthonormal", check, tall, changed(lambda b: b * (1 + TINY)))
planted("each the base of the other", check, views(swapped, PAIR), changed(lambda b: b[:, [1, 0]]))
planted("negative", check, views(PAIR, PAIR), changed(lambda b: -b))

check = of_losses.the_loss_is_at_least_that_of_tight_frames
planted("a higher bound", check, (frames, 0.0), patches=times(of_losses, "least_loss", 1.01))
diagonal_twice = {"_losses": lambda z, b, correct=of_losses._losses: correct(z, b)[:1] * 2}
planted("no off-diagonal", check, (frames, 0.0), patches=diagonal_twice)
less = {"_losses": lambda z, b, correct=of_losses._losses: (correct(z, b)[0], 0.9 * correct(z, b)[0])}
planted("a smaller Frobenius norm", check, (frames, 1.0), patches=less)

check = of_losses.columns_and_rows_have_one_sum_of_products
planted("rows too long", check, (tall, 1e-4), wrong_where(lambda z, ridge: z.shape == (2, 4)))

check = of_losses.a_base_tells_no_more_than_its_matrix
law = Law((TURNED, OTHER), np.eye(2, dtype=int))  # the base says nothing of the label, and the matrix all
planted("scaled too long", check, law, with_scale(lambda z: z * (1 + TINY)))
planted("not orthonormal", check, law, changed(lambda b: b * (1 + TINY)))
planted("bits moved to the base", check, law, patches=off("information", A_B=2, A_Z_B=-2))
planted("more from both", check, law, patches=off("information", A_Z_B=1))
for of, by in {"B": 2, "B_Z": 1, "B_ZA": 1, "Z_BA": 1}.items():
    planted(f"entropy {of}", check, law, patches=off("entropy", **{of: by}))

check = of_losses.the_gradient_points_away_from_the_base
beside, along = (differentiated(lambda g, b: g + 1e-3), differentiated(lambda g, b: g + 9e-10 * np.sign(b)))
planted("a component beside the base", check, (views(TURNED, PAIR), 1e-4), patches=beside)
planted("a little longer in every entry", check, (views(TURNED, PAIR), 1e-4), patches=along)

check = of_losses.gradients_of_two_features_are_orthogonal_at_full_column_rank
planted("a ridge", check, tall, Implementation(OURS.scale, lambda z, ridge: OURS.base(z, 1.0)))

check = of_losses.equal_features_have_equal_gradients_that_are_not_zero
apart, same = views(PAIR[:, [0, 0]], PAIR[:, [1, 1]], "collapsed"), views(PAIR[:, [0, 0]], PAIR[:, [0, 0]], "collapsed")
planted("columns apart", check, (apart, 1e-4), changed(lambda b: b + np.array([0, TINY])))
planted("too short", check, (apart, 1e-4), changed(lambda b: 0.1 * b))
planted("out of the line", check, (same, 1e-4), changed(lambda b: b + 0.1 * Y[:, None]))

check = of_losses.equal_samples_cannot_be_scaled
planted("scaled to zeros", check, (2, [1]), MUTANTS["swallowed exception"])

check = of_sizes.operations_are_the_stated_polynomials
for name in ("formula", "formula_operations", "smaller_side", "smaller_side_operations", "objective"):
    planted(name, check, (3, 2, 2), patches=times(of_sizes, name, 2))

check = of_sizes.groups_have_full_rank_from_one_feature_less_than_samples_on
square = views([[1, 2], [3, 1]], [[1, 0], [0, 1]])
uncentred = Implementation(MUTANTS["no centring"].scale, lambda z, ridge: OURS.base(z - z.mean(0), ridge))
planted("no basis", check, (square, 2), changed(lambda b: 1.001 * b))
planted("rank + 1", check, (square, 2), uncentred)
planted("groups cost nothing", check, (square, 2), patches={"smaller_side_operations": lambda size: 1})
