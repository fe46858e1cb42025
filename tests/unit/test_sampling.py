"""Intervals and tests of accuracies over images, against counting."""

from itertools import product
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from arb_suite.audit.sampling import compare, unpaired, wilson_interval


@given(st.integers(1, 10000), st.data())
def test_wilson_interval_is_its_formula(n, data):
    k = data.draw(st.integers(0, n))
    z, p = stats.norm.ppf(0.975), k / n
    centre, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = wilson_interval(100 * k / n, n)
    assert low == pytest.approx(100 * (centre - half), abs=1e-8)
    assert high == pytest.approx(100 * (centre + half), abs=1e-8)


@given(st.integers(1, 30), st.data())
def test_best_and_worst_are_the_extremes_over_all_overlaps(n, data):
    left, right = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    p_values = []
    for both_wrong in range(n + 1):
        only_left, only_right = n - left - both_wrong, n - right - both_wrong
        if min(only_left, only_right) >= 0 and both_wrong + only_left + only_right <= n:
            discordant = only_left + only_right
            p_values.append(stats.binomtest(only_left, discordant).pvalue if discordant else 1.0)
    lead = compare(100 * left / n, 100 * right / n, n)
    assert lead.best == pytest.approx(min(p_values))
    assert lead.worst == pytest.approx(max(p_values))


@given(st.integers(2, 2000), st.integers(2, 2000), st.data())
def test_unpaired_is_the_pooled_z_test(n_left, n_right, data):
    left, right = data.draw(st.integers(0, n_left)), data.draw(st.integers(0, n_right))
    pooled = (left + right) / (n_left + n_right)
    error = sqrt(pooled * (1 - pooled) * (1 / n_left + 1 / n_right))
    expected = 2 * stats.norm.sf(abs(left / n_left - right / n_right) / error) if error else 1.0
    assert unpaired(100 * left / n_left, n_left, 100 * right / n_right, n_right) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("left", "right"), list(product([0.0, 100.0], repeat=2)))
def test_all_right_or_all_wrong(left, right):
    lead = compare(left, right, 50)
    if left == right:
        assert (lead.unpaired, lead.best, lead.worst) == (1.0, 1.0, 1.0)
    else:
        assert max(lead.unpaired, lead.best, lead.worst) < 1e-10
