"""The share of the gap is right where there is a gap, and is not given where there is none."""

import math

import numpy as np
import pytest

from course_lib.distillation.gap import gap_recovered
from course_lib.errors import CourseError
from course_lib.evidence import compare


def scores(accuracy, n=2000, seed=0, seeds=1):
    random = np.random.default_rng(seed)
    return (random.random((seeds, n)) < accuracy).astype(float)


def test_the_share_is_the_quotient_of_the_differences():
    student, alone, teacher = scores(0.75), scores(0.6, seed=1), scores(0.8, seed=2)
    found = gap_recovered(student, alone, teacher)
    s, a, t = (x.mean() for x in (student, alone, teacher))
    assert found.share == pytest.approx((s - a) / (t - a))
    assert found.low < found.share < found.high


def test_the_teacher_recovers_all_and_the_student_alone_nothing():
    alone, teacher = scores(0.6), scores(0.8, seed=2)
    assert gap_recovered(teacher, alone, teacher).low == pytest.approx(1)
    assert gap_recovered(alone, alone, teacher).high == pytest.approx(0)


def test_more_seeds_that_differ_widen_the_interval():
    alone, teacher = scores(0.6), scores(0.8, seed=2)
    steady = np.repeat(scores(0.7, seed=3), 3, axis=0)
    unsteady = steady.copy()
    unsteady[0, :200], unsteady[1, :200] = 0, 1

    def width(student):
        found = gap_recovered(student, alone, teacher)
        return found.high - found.low

    assert width(unsteady) > 1.5 * width(steady)


def test_luck_that_both_share_leaves_a_paired_share_alone():
    teacher, alone = scores(0.9), np.repeat(scores(0.6, seed=1), 5, axis=0)
    alone[:, :400] = 0
    for seed in range(5):  # some seeds know some of the sentences, alone or not
        alone[seed, : 100 * seed] = 1
    student = np.maximum(alone, scores(0.15, seed=2))
    paired = gap_recovered(student, alone, teacher, paired_seeds=True)
    apart = gap_recovered(student, alone, teacher)
    assert paired.share == apart.share
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)
    assert apart.low < 0 < paired.low


def test_a_paired_share_leaves_zero_out_where_the_paired_difference_does():
    """Its numerator is the difference that `compare` takes, seed by seed."""
    teacher = scores(0.9, n=500)
    verdicts = []
    for trial in range(8):
        alone = scores(0.6, n=500, seed=10 + trial, seeds=4)
        knows = scores(0.02 * trial, n=500, seed=30 + trial, seeds=4)
        student = np.maximum(alone, knows)
        student[:, :6] = 0  # of little use, it may also do harm
        share = gap_recovered(student, alone, teacher, paired_seeds=True)
        difference = compare(student - alone, np.zeros(500), lower_is_better=False)
        verdicts.append(difference.verdict)
        if min(abs(difference.low), abs(difference.high)) > 0.002:  # two draws of resamples
            assert (share.low > 0) == (difference.verdict == "win")
    assert {"win", "tie"} <= set(verdicts)


def test_seeds_without_partners_are_not_paired():
    with pytest.raises(CourseError, match="3 seeds and the student alone 2"):
        gap_recovered(
            scores(0.7, seeds=3), scores(0.6, seeds=2), scores(0.8, seed=1), paired_seeds=True
        )


def test_without_a_gap_there_is_no_share():
    found = gap_recovered(scores(0.7), scores(0.7, seed=1), scores(0.7, seed=2))
    assert math.isnan(found.share)
    assert "no gap" in str(found)


def test_pairing_needs_the_same_items():
    with pytest.raises(CourseError):
        gap_recovered(scores(0.7), scores(0.7), scores(0.7, n=10))
