"""Objectives are sums with counts."""

import math
from itertools import pairwise

import pytest
import torch
from tiny_model import TEXT, VOCAB, tiny_lm, windows
from torch import nn

from course_lib.errors import CourseError
from course_lib.training.batches import blocks
from course_lib.training.objectives import causal_lm_loss, mean_loss


def test_each_token_after_the_first_is_scored_by_its_own_log_probability():
    model, batch = tiny_lm(), windows(2)(0)
    by_hand = 0.0
    for window in batch:
        for history, target in pairwise(window):
            by_hand -= model(history[None])[0].log_softmax(-1)[target].item()
    nats, scored = causal_lm_loss(model, batch)
    assert nats.item() == pytest.approx(by_hand, rel=1e-5)
    assert scored == batch[:, 1:].numel()


def test_a_model_that_knows_nothing_scores_ln_v():
    model = tiny_lm()
    nn.init.zeros_(model.head.weight), nn.init.zeros_(model.head.bias)
    assert mean_loss(model, [windows()(0)]) == pytest.approx(math.log(VOCAB), abs=1e-6)


def test_the_mean_is_over_tokens_not_over_batches():
    model, batches = tiny_lm(), blocks(TEXT[:90], 8, batch_size=4)
    assert len({len(batch) for batch in batches}) > 1
    assert mean_loss(model, batches) == pytest.approx(
        mean_loss(model, [torch.cat(batches)]), rel=1e-6
    )


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_while_scoring_and_the_mode_is_put_back(training):
    model = tiny_lm(dropout=0.5).train(training)
    assert mean_loss(model, [windows()(0)]) == mean_loss(model, [windows()(0)])
    assert model.training is training


def test_nothing_to_score_is_said():
    with pytest.raises(CourseError, match="nothing to score"):
        mean_loss(tiny_lm(), [])
