"""Which accuracies are attainable, against counting all of them."""

from decimal import ROUND_DOWN, ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from arb_suite.audit.attainable import (
    correct_counts,
    explaining_sizes,
    is_attainable,
    nearest_attainable,
)


def printed_forms(correct, n, decimals, truncated=False):
    """Every way to print 100 correct / n with so many decimals."""
    exact = Decimal(100 * correct) / Decimal(n)  # 28 digits: enough to tell halves for the n of these tests
    unit = Decimal(1).scaleb(-decimals)
    modes = (ROUND_DOWN,) if truncated else (ROUND_HALF_UP, ROUND_HALF_DOWN)
    return {f"{exact.quantize(unit, rounding=mode):f}" for mode in modes}


@given(st.integers(1, 400), st.integers(0, 3), st.booleans(), st.data())
def test_counts_are_those_that_print_so(n, decimals, truncated, data):
    grid = data.draw(st.integers(0, 100 * 10**decimals))
    text = f"{Decimal(grid).scaleb(-decimals):.{decimals}f}"
    expected = [k for k in range(n + 1) if text in printed_forms(k, n, decimals, truncated)]
    assert list(correct_counts(text, n, truncated)) == expected
    assert is_attainable(text, n, truncated) is bool(expected)


@given(st.integers(1, 10**7), st.integers(0, 6), st.booleans(), st.data())
def test_every_evaluation_is_attainable_as_it_would_be_printed(n, decimals, truncated, data):
    correct = data.draw(st.integers(0, n))
    for text in printed_forms(correct, n, decimals, truncated):
        assert correct in correct_counts(text, n, truncated)


@given(st.integers(1, 10**6), st.decimals(0, 100, places=3))
def test_nearest_are_neighbours(n, number):
    below, above = nearest_attainable(str(number), n)
    assert below <= Fraction(str(number)) <= above
    assert above - below in (0, Fraction(100, n))
    assert all((accuracy * n / 100).denominator == 1 for accuracy in (below, above))


def test_what_was_printed_matters():
    assert not is_attainable("95.51", 5000)
    assert is_attainable("95.5", 5000)
    assert is_attainable("95.50", 5000)
    assert not is_attainable("52.90", 700)
    assert is_attainable("52.9", 700)


@pytest.mark.parametrize("text", ["100.01", "9_5", "٩٥", "-0.01", "NaN", "Infinity", "about 5", "", "1e3", "5.1234567"])
def test_what_is_no_accuracy_is_refused(text):
    for function in (correct_counts, is_attainable, nearest_attainable):
        with pytest.raises(ValueError, match="decimal number of percent from 0 to 100 with at most 6 decimals, got"):
            function(text, 100)
    with pytest.raises(ValueError, match="decimal number of percent"):
        explaining_sizes(["50.0", text], 100)


@pytest.mark.parametrize("n", [0, -1, 10_000_001, 2.5, True, "5000"])
def test_what_is_no_number_of_images_is_refused(n):
    with pytest.raises(ValueError, match="whole number of images from 1 to 10000000, got"):
        correct_counts("50.0", n)


@given(
    st.lists(st.decimals(0, 100, places=2).map(str), min_size=1, max_size=6),
    st.integers(1, 300),
    st.booleans(),
)
def test_explaining_sizes_are_those_that_explain(texts, largest, truncated):
    distinct = set(texts)
    counts = {n: sum(is_attainable(text, n, truncated) for text in distinct) for n in range(1, largest + 1)}
    found = explaining_sizes(texts, largest, truncated=truncated)
    assert [e.n for e in found] == [n for n in counts if counts[n] == len(distinct)]
    most = explaining_sizes(texts, largest, least="most", truncated=truncated)
    assert [(e.n, e.explained) for e in most] == [(n, c) for n, c in counts.items() if c == max(counts.values())]
    some = explaining_sizes(texts, largest, least=1, truncated=truncated)
    assert [(e.n, e.explained, e.total) for e in some] == [(n, c, len(distinct)) for n, c in counts.items() if c >= 1]


def test_no_accuracies_explain_nothing():
    with pytest.raises(ValueError, match="at least one is needed"):
        explaining_sizes([], 10)


@pytest.mark.parametrize("truncated", [False, True])
def test_chance_is_the_share_of_all_numbers_that_fit(truncated):
    # With one accuracy, which every size up to 1 explains or not, the expectation is the sum of the shares, by counting.
    largest, texts = 60, ["50.0"]
    numbers = [f"{k / 10:.1f}" for k in range(1001)]
    shares = [np.mean([is_attainable(number, n, truncated) for number in numbers]) for n in range(1, largest + 1)]
    for found in explaining_sizes(texts, largest, truncated=truncated):
        assert found.expected == pytest.approx(sum(shares[: found.n]), rel=1e-12)


def test_halves_count_both_ways_in_chance():
    # 8000 images give every accuracy of two decimals, since 100 / 8000 = 0.0125: no surprise that they give any set of them.
    assert all(is_attainable(f"{k / 100:.2f}", 8000) for k in range(10001))
    texts = [f"{k / 100:.2f}" for k in range(100, 9000, 37)]
    found = {e.n: e.expected for e in explaining_sizes(texts, 8000)}
    assert found[8000] >= 1


def test_chance_of_several_accuracies_is_binomial():
    texts = ["12.3", "45.6", "78.9", "32.1"]
    (first, *_) = explaining_sizes(texts, 400, least=2)
    share = [np.mean([is_attainable(f"{k / 10:.1f}", n) for k in range(1001)]) for n in range(1, first.n + 1)]
    assert first.expected == pytest.approx(sum(stats.binom.sf(first.explained - 1, 4, s) for s in share))


def test_chance_takes_every_accuracy_by_its_own_decimals():
    # Three with two decimals and one with one decimal, by enumeration of what fits
    texts = ["12.34", "45.67", "78.91", "50.5"]
    found = explaining_sizes(texts, 300, least=2)
    shares = {decimals: [] for decimals in (1, 2)}
    for n in range(1, found[-1].n + 1):
        for decimals, chances in shares.items():
            steps = 100 * 10**decimals
            chances.append(np.mean([is_attainable(f"{k / 10**decimals:.{decimals}f}", n) for k in range(steps + 1)]))
    fine, coarse = (np.array(shares[decimals]) for decimals in (2, 1))
    for explanation in found:
        by_chance = sum(
            np.prod([p if fits else 1 - p for p, fits in zip((fine, fine, fine, coarse), outcome, strict=True)], axis=0)
            for outcome in product([True, False], repeat=4)
            if sum(outcome) >= explanation.explained
        )
        assert explanation.expected == pytest.approx(by_chance[: explanation.n].sum())


def test_a_planted_size_is_found_and_is_no_coincidence():
    rng = np.random.default_rng(0)
    texts = [f"{100 * k / 2522:.4f}" for k in rng.integers(500, 2500, 30)]
    found = explaining_sizes(texts, 5000)
    assert found[0].n == 2522
    assert found[0].expected < 1e-50
    arbitrary = [f"{x:.4f}" for x in rng.uniform(20, 99, 30)]
    assert explaining_sizes(arbitrary, 5000, least="most")[0].expected > 0.1
