"""Advice is that of the nearest measured cell, against the student alone that validation chose."""

import numpy as np
import pytest

from course_lib.distillation.advice import (
    advise,
    alone,
    cells,
    gain_over,
    quick_enough,
    within,
)
from course_lib.errors import CourseError
from course_lib.training.answers import packed

N = 400


def row(accuracy, seed, validation=0.5, **setting):
    right = np.arange(N) < accuracy * N
    results = {"right": packed(right.astype(float)), "n": N, "validation_accuracy": validation}
    return {"setting": {"start": "copied", "unlabelled": "none", **setting}, "seed": seed,
            "results": results}  # fmt: skip


@pytest.fixture
def rows():
    found = []
    for seed in range(3):
        for labels, by_itself, taught in ((50, 0.6, 0.8), (5000, 0.8, 0.8)):
            found += [
                row(by_itself, seed, 0.9, labels=labels, teacher="none", steps=60),
                row(0.95, seed, 0.1, labels=labels, teacher="none", steps=160),
                row(taught, seed, labels=labels, teacher="same labels"),
                row(0.5, seed, labels=labels, teacher="same labels", unlabelled="rest"),
            ]
    return found


def test_the_student_alone_is_the_one_that_validation_chose(rows):
    found = cells(rows)["copied", "same labels"]
    assert found[50, "none"].difference == pytest.approx(0.2)
    assert found[50, "none"].verdict == "win"
    assert found[5000, "none"].verdict == "tie"
    assert found[5000, "rest"].verdict == "loss"


def test_what_students_alone_were_trained_for_is_decided_by_validation_not_by_the_test(rows):
    chosen = alone(rows)["copied", 50]
    assert [run["validation_accuracy"] for run in chosen] == [0.9] * 3


def test_a_gain_over_settings_is_their_mean_and_is_taken_seed_by_seed(rows):
    for found in rows:  # a seed that is harder for both
        if found["seed"] == 2:
            found["results"]["right"] = packed(np.zeros(N))
    settings = [("copied", "same labels", labels, "none") for labels in (50, 5000)]
    both = gain_over(rows, settings)
    one, other = (gain_over(rows, [setting]).difference for setting in settings)
    assert both.difference == pytest.approx((one + other) / 2)
    assert gain_over(rows, settings[1:]).high == 0  # no doubt from what both have in common


def test_a_map_without_the_student_alone_is_refused(rows):
    with pytest.raises(CourseError, match="no student alone with 50 labels"):
        cells([r for r in rows if r["setting"]["teacher"] != "none"])


def test_advice_is_that_of_the_nearest_cell_and_says_which(rows):
    assert "likely to pay" in advise(rows, labels=80)
    assert "save its cost" in advise(rows, labels=3000)
    said = advise(rows, labels=3000, unlabelled=4000)
    assert "do harm" in said
    assert "5,000 labels and 5,500 sentences" in said


def test_what_the_map_lacks_is_refused(rows):
    with pytest.raises(CourseError, match="no setting"):
        gain_over(rows, [("random", "same labels", 50, "none")])
    for options in ({"labels": 0}, {"labels": 5, "start": "random"}):
        with pytest.raises(CourseError):
            advise(rows, **options)


def test_models_that_are_quick_enough_come_best_first():
    def scored(student, method, accuracy, on_validation=0.8):
        return {"setting": {"student": student, "method": method},
                "results": {"validation_accuracy": on_validation,
                            "rotten_tomatoes": {"accuracy": accuracy}}}  # fmt: skip

    times = {"teacher": [9.0, 50.0, 60.0], "2 layers": [15.0, 17.0, 90.0], "narrow": [8.0]}
    rows = [
        {"setting": {"student": "latency", "method": "none"},
         "results": {"milliseconds": {"1": times, "32": {}}}},
        scored("teacher", "none", 0.9),
        *[scored("2 layers", "hard", a) for a in (0.7, 0.8)],
        scored("2 layers", "soft", 0.82, on_validation=0.81),
        scored("2 layers", "lucky on the test sentences", 0.89),
        scored("narrow", "hard", 0.72),
    ]  # fmt: skip
    assert within(rows, 20) == [("2 layers", 17.0, 0.82), ("narrow", 8.0, 0.72)]
    assert within(rows, 50)[0][0] == "teacher"
    assert within(rows, 1) == []
    assert "2 layers               17.0 ms  82.0%" in quick_enough(rows, 20)
    assert "none answers within 1 ms" in quick_enough(rows, 1)
    with pytest.raises(CourseError, match="above 0"):
        quick_enough(rows, 0)
