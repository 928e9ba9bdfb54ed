"""Networks that are trained together end where they would have ended alone."""

import pytest
import torch
from tiny_model import CONTEXT, TEXT, TinyLM, tiny_lm
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.training.batches import RandomWindows
from course_lib.training.loop import train
from course_lib.training.many import Many, many_causal_lm_loss, together, token_losses
from course_lib.training.objectives import causal_lm_loss


def models(dropout=0.0):
    made = []
    for seed in range(3):
        torch.manual_seed(seed)
        made.append(TinyLM(dropout))
    return made


def momentum(model):
    return torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)


def windows(seed):
    return RandomWindows(TEXT, CONTEXT, 4, seed)


def test_together_is_the_same_as_alone():
    alone, many = models(), Many(models())
    histories = [
        train(model, windows(seed), momentum(model), steps=5, clip=None)
        for seed, model in enumerate(alone)
    ]
    sources = together([windows(seed) for seed in range(3)])
    history = train(
        many, sources, momentum(many), objective=many_causal_lm_loss, steps=5, clip=None
    )
    for model, other in zip(alone, many.apart(), strict=True):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            assert_close(p, q, atol=1e-5, rtol=0)
    sums = torch.tensor([h.train_loss for h in histories]).sum(0)
    assert_close(torch.tensor(history.train_loss), sums, atol=1e-4, rtol=1e-5)


def test_each_network_scores_its_own_windows():
    alone, batch = models(), torch.stack([windows(seed)(0) for seed in range(3)])
    nats = token_losses(Many(alone), batch)
    for model, own, found in zip(alone, batch, nats, strict=True):
        assert_close(found.sum(), causal_lm_loss(model, own)[0])


def test_dropout_differs_between_networks_and_is_off_in_evaluation():
    same = Many([tiny_lm(0.5) for _ in range(2)])
    batch = windows(0)(0).expand(2, -1, -1)
    first, second = token_losses(same.train(), batch)
    assert not torch.allclose(first, second)
    first, second = token_losses(same.eval(), batch)
    assert_close(first, second)


def test_networks_of_different_shapes_are_refused():
    with pytest.raises(CourseError, match="same shape"):
        Many([tiny_lm(), torch.nn.Linear(2, 2)])
    with pytest.raises(CourseError, match="same shape"):
        Many([])
