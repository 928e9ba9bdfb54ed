"""The share of the gap is right where there is a gap, and is not given where there is none."""

import math

import numpy as np
import pytest

from course_lib.distillation.gap import gap_recovered
from course_lib.errors import CourseError


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


def test_without_a_gap_there_is_no_share():
    found = gap_recovered(scores(0.7), scores(0.7, seed=1), scores(0.7, seed=2))
    assert math.isnan(found.share)
    assert "no gap" in str(found)


def test_pairing_needs_the_same_items():
    with pytest.raises(CourseError):
        gap_recovered(scores(0.7), scores(0.7), scores(0.7, n=10))
