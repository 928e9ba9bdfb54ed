"""Batches of sentence pairs: what is padded, drawn and scored."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.encoder_decoder import (
    END,
    PAD,
    START,
    EncoderDecoder,
    EncoderDecoderConfig,
)
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.sentence_pairs import (
    RandomPairs,
    batch_of,
    batches_of,
    translation_loss,
)

PAIRS = [([3 + i % 4] * (1 + i % 3), [3 + i % 4, 4] * (1 + i % 2)) for i in range(20)]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return EncoderDecoder(EncoderDecoderConfig(8, 8, context=8, d_model=8, n_heads=2)).eval()


def test_a_batch_is_padded_behind_the_end():
    source, target = batch_of([([5], [6, 7]), ([5, 6, 7], [])])
    assert source.tolist() == [[5, END, PAD, PAD], [5, 6, 7, END]]
    assert target.tolist() == [[START, 6, 7, END], [START, END, PAD, PAD]]


def test_batches_are_a_function_of_seed_step_and_share():
    batches, again = RandomPairs(PAIRS, 4, seed=1), RandomPairs(PAIRS, 4, seed=1)
    for place in [(0, 0), (7, 2)]:
        for one, other in zip(batches(*place), again(*place), strict=True):
            assert torch.equal(one, other)
    first, second = (batches(3, share)[0].tolist() for share in (0, 1))
    assert first != second
    whole = RandomPairs(PAIRS, 8, seed=1)(3)[0].tolist()
    assert [sum(row) for row in first + second] == [sum(row) for row in whole]


def test_validation_holds_every_pair_once():
    rows = [row for _, target in batches_of(PAIRS, 6) for row in target.tolist()]
    assert len(rows) == len(PAIRS)
    written = sorted([t for t in row if t > END] for row in rows)
    assert written == sorted(target for _, target in PAIRS)


def test_the_loss_is_the_sum_over_all_tokens_after_start(model):
    total = 0.0
    for pair in PAIRS[:3]:
        source, target = batch_of([pair])
        log_probs = model(source, target[:, :-1]).log_softmax(-1)[0]
        total -= sum(log_probs[i, token].item() for i, token in enumerate(target[0, 1:]))
    loss, count = translation_loss(model, batch_of(PAIRS[:3]))
    assert count == sum(len(target) + 1 for _, target in PAIRS[:3])
    assert_close(loss.item(), total, atol=1e-4, rtol=0)


def test_smoothing_mixes_the_target_with_the_mean_over_the_vocabulary(model):
    source, target = batch_of(PAIRS[:1])
    log_probs = model(source, target[:, :-1]).log_softmax(-1)[0]
    sharp = F.nll_loss(log_probs, target[0, 1:], reduction="sum")
    expected = 0.9 * sharp - 0.1 * log_probs.mean(-1).sum()
    loss, _ = translation_loss(model, (source, target), smoothing=0.1)
    assert_close(loss, expected, atol=1e-4, rtol=0)


def test_training_lowers_the_mean_loss_of_all_pairs(model):
    def evaluate(model):
        return mean_loss(model, batches_of(PAIRS), translation_loss)

    before = evaluate(model)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    train(model, RandomPairs(PAIRS, 8), adam, objective=translation_loss, steps=40)
    assert evaluate(model) < before - 1


def test_no_pairs_are_refused():
    with pytest.raises(CourseError, match="no pairs"):
        RandomPairs([], 4)
