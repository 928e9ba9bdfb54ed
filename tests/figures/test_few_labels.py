"""The figures of chapter 09 show what they are given."""

import numpy as np
import pytest

from course_lib.figures.fine_tuning import plot_few_labels
from course_lib.figures.style import plt


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_line_is_the_mean_of_the_draws_and_its_band_holds_them_all():
    drawn = np.array([[0.5, 0.6, 0.7], [0.8, 0.7, 0.9]])
    ax = plot_few_labels((8, 32), {"probe": drawn}).axes[0]
    [line] = ax.get_lines()
    assert line.get_xydata().tolist() == [[8, pytest.approx(0.6)], [32, pytest.approx(0.8)]]
    corners = ax.collections[0].get_paths()[0].vertices
    for size, accuracies in zip((8, 32), drawn, strict=True):
        heights = corners[corners[:, 0] == size, 1]
        assert (heights.min(), heights.max()) == (accuracies.min(), accuracies.max())
