"""The picture of losses by place shows means of neighbours and where training ended."""

import numpy as np
from numpy.testing import assert_allclose

from course_lib.figures.positions import plot_losses_by_place


def test_each_point_is_the_mean_of_its_neighbours():
    losses = np.arange(20.0)
    [axes] = plot_losses_by_place({"rotary": losses}, trained=8, together=4).axes
    x, y = axes.lines[0].get_data()
    assert_allclose(x, [2.5, 6.5, 10.5, 14.5, 18.5])  # places are counted from 1
    assert_allclose(y, losses.reshape(5, 4).mean(1))
    assert axes.lines[1].get_xdata()[0] == 8.5


def test_places_that_fill_no_group_are_left_out():
    [axes] = plot_losses_by_place({"a": np.ones(19)}, trained=8, together=4).axes
    assert len(axes.lines[0].get_xdata()) == 4
