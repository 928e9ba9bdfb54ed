"""Each diagnosis names the property that gives an answer away, and none speaks without cause."""

import math

import numpy as np
import pytest

from course_lib.exercises.diagnoses import Judged, diagnose

RNG = np.random.default_rng(0)
ROWS = [RNG.dirichlet(np.ones(4), size=4) for _ in range(6)]
LOGS = [np.log(rows) for rows in ROWS]


def diagnosis_of(wrong_from_right, values):
    cases = [Judged({"x": i}, wrong_from_right(x), x, right=False) for i, x in enumerate(values)]
    return diagnose(cases, tolerance=1e-9)


@pytest.mark.parametrize(
    ("wrong_from_right", "values", "said"),
    [
        (lambda x: None, LOGS, "a `return` missing"),
        (lambda x: "text", LOGS, "not a str"),
        (lambda x: x.sum(), LOGS, "a list or array of numbers, not a number"),
        (lambda x: x[:2], LOGS, "shape (2, 4), expected is (4, 4)"),
        (lambda x: x[:, :3].T, [x[:, :3] for x in LOGS], "transposed"),
        (lambda x: x.T, LOGS, "transposed"),
        (lambda x: x * np.nan, LOGS, "NaN"),
        (lambda x: x - np.inf, LOGS, "infinite"),
        (lambda x: -x, LOGS, "sign is flipped"),
        (np.exp, LOGS, "e to the power"),
        (np.log, ROWS, "the logarithm of what is asked"),
        (lambda x: 1 / x, ROWS, "one over"),
        (lambda x: x / math.log(2), LOGS, "base 2"),
        (lambda x: x / math.log(10), LOGS, "base 10"),
        (lambda x: x * 3, LOGS, "3 times"),
        (lambda x: x + 0.5, LOGS, "0.5 more"),
        (lambda x: np.roll(x, 1), [x[0] for x in LOGS], "one place too late"),
        (lambda x: np.roll(x, -1), [x[0] for x in LOGS], "one place too early"),
        (lambda x: x[::-1], [x[0] for x in LOGS], "reverse order"),
        (lambda x: np.sort(x), [x[0] for x in LOGS], "wrong order"),
        (lambda x: np.floor(x), [x * 9 for x in LOGS], "rounded"),
        (lambda x: x - 0.9 * x**2 - 0.2, ROWS, "cannot be negative"),
        (lambda x: x**2, ROWS, "must sum to one"),
        (lambda x: x**2 / (x**2).sum(0), ROWS, "columns sum to one"),
        (lambda x: {"a": 1.0}, [{"a": 1.0, "b": 0.5}], "missing from your result, here 'b'"),
        (lambda x: x | {"c": 0}, [{"a": 1.0, "b": 0.5}], "do not belong there, here 'c'"),
    ],
)
def test_a_property_of_all_wrong_cases_is_named(wrong_from_right, values, said):
    assert said in diagnosis_of(wrong_from_right, values)


def test_an_answer_that_is_right_for_one_setting_is_told_which():
    cases = [
        Judged({"T": T, "x": x}, x, x if T == 1 else x**2 / T, right=T == 1 or x == T)
        for T in (0.5, 1, 2)
        for x in np.linspace(0.1, 2.0, 20).tolist()
    ]
    assert diagnose(cases, 1e-9) == "It is always right when T = 1, not otherwise."


def test_a_diagnosis_that_does_not_hold_everywhere_is_not_given():
    cases = [
        Judged({"x": 0}, -1.5, 1.5, right=False),
        Judged({"x": 1}, 2.7, 9.1, right=False),
        Judged({"x": 2}, 0.3, 4.0, right=False),
    ]
    assert diagnose(cases, 1e-9) is None
