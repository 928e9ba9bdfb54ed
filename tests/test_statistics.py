"""Closed forms, held against what they are short for."""

import itertools
import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.statistics import (
    accuracy_difference,
    expected_best,
    holm,
    items_needed,
    power,
    wilson,
)


@given(st.integers(0, 60), st.integers(60, 400))
@settings(deadline=None)
def test_at_the_ends_of_wilsons_interval_the_accuracy_is_just_surprising(correct, n):
    p, z = correct / n, NormalDist().inv_cdf(0.975)
    low, high = wilson(p, n)
    assert 0 <= low <= p + 1e-12
    assert p - 1e-12 <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:  # Wilson's equation, not its solution
            assert abs(p - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=1e-9)


def test_wilsons_interval_covers_about_as_often_as_it_says():
    n, truth = 100, 0.9
    share = 0.0
    for correct in range(n + 1):  # exact: over the binomial distribution
        low, high = wilson(correct / n, n)
        if low <= truth <= high:
            share += math.comb(n, correct) * truth**correct * (1 - truth) ** (n - correct)
    assert 0.93 < share < 0.97


def test_the_paired_interval_is_that_of_the_differences_item_by_item():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 500)) < np.array([[0.8], [0.75]])
    d = a.astype(float) - b
    low, high = accuracy_difference(float(a.mean()), float(b.mean()), 500, float((a != b).mean()))
    half = NormalDist().inv_cdf(0.975) * d.std() / math.sqrt(500)
    assert (low, high) == pytest.approx((d.mean() - half, d.mean() + half), abs=1e-12)


def test_more_agreement_makes_the_interval_narrower_than_independence():
    widths = [np.diff(accuracy_difference(0.9, 0.89, 900, d))[0] for d in (0.02, 0.1, None)]
    assert widths == sorted(widths)


def test_power_is_the_share_of_experiments_that_find_the_difference():
    rng = np.random.default_rng(1)
    n, difference, spread = 50, 0.1, 0.3
    means = rng.normal(difference, spread, (20_000, n)).mean(1)
    found = abs(means) > NormalDist().inv_cdf(0.975) * spread / math.sqrt(n)
    assert power(difference, spread, n) == pytest.approx(found.mean(), abs=0.01)
    assert power(0.0, spread, n) == pytest.approx(0.05)


@given(st.floats(0.005, 0.5), st.floats(0.05, 2), st.sampled_from([0.5, 0.8, 0.95]))
@settings(deadline=None)
def test_the_items_needed_are_the_fewest_that_have_the_power(difference, spread, wanted):
    n = items_needed(difference, spread, wanted)
    assert power(difference, spread, n) >= wanted - 1e-9
    if n > 20:  # below, the other tail counts too
        assert power(difference, spread, n - 1) < wanted + 1e-3


@given(st.lists(st.integers(1, 99), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_holm_is_the_closed_test_of_bonferroni(hundredths):
    """A hypothesis falls if every set of hypotheses that holds it falls by Bonferroni."""
    p = [h / 100 for h in hundredths]
    for i, adjusted in enumerate(holm(p)):
        sets = [
            s
            for size in range(1, len(p) + 1)
            for s in itertools.combinations(range(len(p)), size)
            if i in s
        ]
        by_closure = max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets)
        assert adjusted == pytest.approx(by_closure)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 4))
@settings(deadline=None)
def test_the_expected_best_is_the_mean_over_all_ways_to_draw(losses, k):
    drawn = [min(draw) for draw in itertools.product(losses, repeat=k)]
    assert expected_best([float(x) for x in losses], k) == pytest.approx(np.mean(drawn))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: wilson(84.2, 100), "from 0 to 1"),
        (lambda: wilson(0.5, 0), "at least one example"),
        (lambda: accuracy_difference(0.9, 0.8, 100, 0.05), "cannot be"),
    ],
)
def test_what_cannot_be_is_said(call, said):
    with pytest.raises(CourseError, match=said):
        call()
