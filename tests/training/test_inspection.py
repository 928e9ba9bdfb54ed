"""Gradient norms and learning-rate range tests."""

import functools

import numpy as np
import pytest
import torch
from tiny_model import tiny_lm, windows

from course_lib.errors import CourseError
from course_lib.training.inspection import RangeTest, gradient_norms, range_test
from course_lib.training.objectives import causal_lm_loss
from course_lib.training.optimizers import adamw


def test_the_norms_are_those_that_autograd_finds():
    model, batch = tiny_lm(), windows()(0)
    norms = gradient_norms(model, lambda: causal_lm_loss(model, batch)[0])
    parameters = dict(model.named_parameters())
    grads = torch.autograd.grad(causal_lm_loss(model, batch)[0], list(parameters.values()))
    assert list(norms) == list(parameters)
    assert list(norms.values()) == pytest.approx([g.norm().item() for g in grads], rel=1e-5)
    assert all(p.grad is None for p in parameters.values())


def test_a_parameter_that_is_left_out_has_norm_zero_and_a_frozen_one_is_not_named():
    model, batch = tiny_lm(), windows()(0)
    model.spare = torch.nn.Parameter(torch.ones(2))
    model.head.bias.requires_grad = False
    norms = gradient_norms(model, lambda: causal_lm_loss(model, batch)[0])
    assert norms["spare"] == 0.0
    assert "head.bias" not in norms


def test_a_range_test_raises_the_rate_by_the_same_factor_and_leaves_the_model_alone():
    model = tiny_lm()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    found = range_test(model, windows(), adamw, low=1e-4, high=1.0, steps=60)
    factors = found.rates[1:] / found.rates[:-1]
    assert factors == pytest.approx(np.full(59, (1.0 / 1e-4) ** (1 / 60)))
    assert 1e-4 < found.rates[0] < found.rates[-1] < 1.0
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())


def test_too_high_rates_are_seen_and_not_chosen():
    found = range_test(tiny_lm(), windows(), adamw, low=1e-5, high=100.0, steps=120)
    assert 1e-4 < found.lowest < 5
    assert found.smoothed[-1] > found.smoothed.min() + 0.5


def test_a_loss_that_explodes_ends_the_test_and_not_the_program():
    sgd = functools.partial(torch.optim.SGD, lr=1.0)
    found = range_test(
        tiny_lm(), windows(), lambda m: sgd(m.parameters()), low=1e-2, high=1e30, steps=100
    )
    assert 4 <= len(found.losses) < 100
    assert np.isfinite(found.losses).all()


def test_the_lowest_point_of_a_known_curve_is_found():
    rates = np.geomspace(1e-4, 1, 81)
    found = RangeTest(rates, (np.log10(rates) + 2) ** 2)
    assert found.lowest == pytest.approx(1e-2, rel=0.2)
    assert len(found.smoothed) == 81


def test_an_impossible_range_is_said():
    with pytest.raises(CourseError, match="range test"):
        range_test(tiny_lm(), windows(), adamw, low=1.0, high=0.1)
