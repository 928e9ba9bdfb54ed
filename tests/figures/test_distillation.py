"""The figures of chapter 10 show the numbers that they are given."""

import numpy as np
import pytest

from course_lib.figures.distillation import (
    plot_dark_knowledge,
    plot_excess,
    plot_map,
)
from course_lib.figures.style import plt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_map_writes_every_value_and_frames_the_marked_cell():
    values = np.array([[0.0, 1.5], [-2.0, 8.4]])
    ax = plot_map(values, (0.5, 1), (1, 4), "points", [(1, 1)]).axes[0]
    assert [text.get_text() for text in ax.texts] == ["+0.0", "+1.5", "-2.0", "+8.4"]
    (frame,) = ax.patches
    assert (round(frame.get_x()), round(frame.get_y())) == (1, 1)


def test_the_diagonal_of_dark_knowledge_is_left_out():
    ax = plot_dark_knowledge(np.full((3, 3), 0.2), "abc").axes[0]
    shown = ax.images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).diagonal().all()
    assert shown[0, 1] == pytest.approx(20)


def test_the_line_of_a_method_goes_through_the_means_of_its_seeds():
    ax = plot_excess([10, 100], {"labels": [[1.0, 3.0], [0.5, 0.7]]}, "nats").axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2.0, 0.6])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 3.0])
