"""Every model is timed on every batch, in evaluation mode, and left as it was."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import CourseError
from course_lib.latency import latencies, megabytes, p50, speedup


def test_the_slow_model_takes_as_many_times_longer():
    models = {"slow": lambda x: time.sleep(0.02), "fast": lambda x: time.sleep(0.002)}
    seconds = latencies(models, [(0,), (0,)], rounds=4)
    assert len(seconds["slow"]) == 8
    assert 3 < speedup(seconds["slow"], seconds["fast"]) < 12
    assert p50(seconds["slow"]) > 19


def test_dropout_is_off_and_the_mode_is_put_back():
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append((self.training, torch.get_num_threads(), torch.is_inference_mode_enabled()))

    model = Watched().train()
    latencies({"it": model}, [(torch.ones(1),)], rounds=1)
    assert set(seen) == {(False, 1, True)}
    assert model.training


def test_nothing_to_time_is_refused():
    for models, batches, rounds in (
        ({}, [(0,)], 1),
        ({"a": print}, [], 1),
        ({"a": print}, [()], 0),
    ):
        with pytest.raises(CourseError):
            latencies(models, batches, rounds)


def test_megabytes_count_a_tied_matrix_once():
    first = nn.Linear(1000, 250, bias=False)
    second = nn.Linear(1000, 250, bias=False)
    second.weight = first.weight
    assert megabytes(nn.Sequential(first, second)) == pytest.approx(1.0)
    assert np.isclose(megabytes(first.half()), 0.5)
