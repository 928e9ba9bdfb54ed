from fractions import Fraction

import numpy as np
import pytest
import torch

from course_lib.exercises.comparing import LONGEST, same, written, written_apart


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([0.1, 0.2], np.array([0.1, 0.2])),
        ((1, 2), [1, 2]),
        (torch.tensor([[1.0, 2.0]], requires_grad=True), [[1.0, 2.0]]),
        (torch.ones(2, dtype=torch.bfloat16), np.ones(2)),
        (3.0, 3),
        (np.float64(0.5), 0.5),
        (Fraction(2, 4), Fraction(1, 2)),
        ({"a": [1.0, 2.0], "b": "x"}, {"b": "x", "a": (1.0, 2.0)}),
        ([[1], [2, 3]], [[1], [2, 3]]),
        (float("nan"), float("nan")),
        (b"ab", b"ab"),
        (0.3, 0.1 + 0.2),
    ],
)
def test_the_same_values_are_the_same_whatever_holds_them(got, expected):
    assert same(got, expected, tolerance=1e-9)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([0.1, 0.2], [0.2, 0.1]),
        ([[1.0], [2.0]], [1.0, 2.0]),
        (1.0, [1.0]),
        (2.9999999999, 3),
        (1 / 3, Fraction(1, 3)),
        ({"a": 1.0}, {"a": 1.0, "b": 0.0}),
        ([("a", 1)], {"a": 1}),
        ("1", 1),
        ("ab", b"ab"),
        (None, 0.0),
        ([[1], [2, 3]], [[1], [2, 4]]),
        (float("nan"), 1.0),
        ("ab", ["a", "b"]),
        (1.0 + 1e-8, 1.0),
    ],
)
def test_different_values_are_different(got, expected):
    assert not same(got, expected, tolerance=1e-9)


def test_a_value_is_written_on_one_short_line():
    assert written(np.array([[1 / 3, 2.0]])) == "[[0.3333, 2]]"
    assert written(Fraction(1, 3)) == "1/3"
    assert written({"b": 1, "a": (0.5,)}) == "{'a': (0.5,), 'b': 1}"
    assert len(written(list(range(1000)))) <= LONGEST


def test_a_dict_is_written_with_sorted_keys_or_in_its_own_order():
    assert written([{"b": 1, "a": 2}]) == "[{'a': 2, 'b': 1}]"
    assert written([{"b": 1, "a": 2}], sort_keys=False) == "[{'b': 1, 'a': 2}]"


def test_two_values_that_differ_are_never_written_alike():
    assert written_apart(0.50000001, 0.5) == ("0.50000001", "0.5")
    assert written_apart(1, 1.0) == ("1 (int)", "1 (float)")
    assert written_apart(None, "None") == ("None", "'None'")
