"""The figures of chapter 12 show the numbers that they are given."""

import matplotlib.pyplot as plt
import pytest

from course_lib.figures.distilled_gpt import (
    plot_by_place,
    plot_rarity,
    plot_soft_labels,
    plot_top_k,
    plot_validation,
    plot_written,
)
from course_lib.figures.style import BLUE, ORANGE


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_character_that_came_is_orange():
    fig = plot_soft_labels({"a": (["x", "y"], [0.7, 0.3], "y"), "b": (["x", "y"], [0.5, 0.5], "q")})
    colours = [[bar.get_facecolor() for bar in ax.patches] for ax in fig.axes]
    blue, orange = plt.matplotlib.colors.to_rgba(BLUE), plt.matplotlib.colors.to_rgba(ORANGE)
    assert colours == [[blue, orange], [blue, blue]]


def test_lines_hold_what_they_are_given():
    ax = plot_by_place([16.0, 48.0], {"own": [1.0, 2.0]}).axes[0]
    assert list(ax.lines[0].get_ydata()) == [1.0, 2.0]
    ax = plot_rarity({"soft": {"0": 3.0, "1–5": 2.0}}, "the text").axes[0]
    assert list(ax.lines[0].get_ydata()) == [3.0, 2.0]
    ax = plot_validation({"hard": ([1.0, 2.0], [3.0, 2.5])}, "seconds", "nats", 1.5).axes[0]
    assert list(ax.lines[0].get_xdata()) == [1.0, 2.0]
    assert set(ax.lines[1].get_ydata()) == {1.5}
    curves = {"hard": ([20.0, 900.0], [3.0, 2.5])}
    ax = plot_validation(curves, "seconds (log scale)", "nats", 1.5, xscale="log").axes[0]
    ax.figure.canvas.draw()
    assert {"50", "100", "200", "500"} < {label.get_text() for label in ax.get_xticklabels()}
    left, right = plot_top_k([1, 2], {"tail": [2.0, 1.5]}, 1.4, [0.4, 0.2]).axes
    assert list(left.lines[0].get_ydata()) == [2.0, 1.5]
    assert list(right.lines[0].get_ydata()) == [0.4, 0.2]
    measures = {"pairs": [0.1, 0.9], "entropy": [2.0, 3.0]}
    ax = plot_written([0.0, 1.0], measures, {"pairs": 0.8, "entropy": 2.5}).axes[0]
    assert set(ax.lines[1].get_ydata()) == {0.8}
