"""What the pictures of the climb show: prices of rungs, and networks against what they read."""

import matplotlib.pyplot as plt
import pytest

from course_lib.figures.climb import plot_price, plot_reading
from course_lib.figures.ladder import Rung

FREE = Rung("uniform", "guess", 4.2, 6.1, 0.0, 0, 0.0)
CHEAP = Rung("7-gram", "counting", 1.65, 2.4, 1.5, 900, 20.0)
SLOW = Rung("LSTM", "network", 1.67, 2.4, 120.0, 800, 3.2)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_each_rung_that_takes_something_has_a_mark_and_only_named_ones_a_name():
    fig = plot_price([FREE, CHEAP, SLOW], {"LSTM": "the LSTM"})
    for ax, prices in zip(fig.axes, ({1.5, 120.0}, {20.0, 3.2}), strict=True):
        assert {x for line in ax.lines for x in line.get_xdata()} == prices
        assert [text.get_text() for text in ax.texts] == ["the LSTM"]


def test_runs_are_drawn_against_what_they_have_read_and_how_long_it_took():
    run = {"steps": [10, 20], "tokens": 4_000_000, "seconds": [60, 90], "val_losses": [2.5, 2.0]}
    other = run | {"seconds": [120, 210], "val_losses": [2.7, 2.2]}
    fig = plot_reading({"RNN": [run, other]}, bar=1.65)
    for ax, x in zip(fig.axes, ([2.0, 4.0], [1.5, 2.5]), strict=True):
        *seeds, mean, bar = ax.lines
        assert [list(line.get_ydata()) for line in seeds] == [[2.5, 2.0], [2.7, 2.2]]
        assert list(mean.get_xdata()) == x
        assert list(mean.get_ydata()) == pytest.approx([2.6, 2.1])
        assert set(bar.get_ydata()) == {1.65}
