"""Differences are drawn with their intervals; a tie looks different from what is sure."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_lib.evidence import compare
from course_lib.figures.differences import plot_differences


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def marks(ax):
    return [line for line in ax.lines if line.get_marker() not in ("None", None, "")]


def test_a_comparison_is_drawn_with_its_interval():
    found = compare(np.arange(9.0), np.arange(9.0) + [0.1, 0.2, 0.3] * 3, names=("a", "b"))
    ax = plot_differences({"a": found}, "a − b").axes[0]
    interval, value = ax.lines[:2]
    assert list(interval.get_xdata()) == [found.low, found.high]
    assert list(value.get_xdata()) == [found.difference]
    assert [text.get_text() for text in ax.texts] == ["-0.200"]


def test_shares_become_points_and_a_tie_is_hollow():
    rows = {"up": (0.02, 0.01, 0.03), "tie": (0.005, -0.01, 0.02), "down": (-0.02, -0.03, -0.01)}
    ax = plot_differences(rows, "points", scale=100, number="+.1f").axes[0]
    assert [float(mark.get_xdata()[0]) for mark in marks(ax)] == [2.0, 0.5, -2.0]
    assert [mark.get_marker() for mark in marks(ax)] == ["o", "D", "o"]
    up, tie, down = (mark.get_markerfacecolor() for mark in marks(ax))
    assert up == down != tie
    assert [text.get_text() for text in ax.texts] == ["+2.0", "+0.5", "-2.0"]
