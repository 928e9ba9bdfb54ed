"""Losses, their units, and how much history each place has."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.evaluation import (
    CarriedModel,
    LanguageModel,
    Score,
    WindowedModel,
    evaluate,
    evaluate_in_blocks,
    mix,
    mixture_weight,
)
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.ngram import AddK, KneserNey, NGramCounts, Uniform
from course_lib.models.recurrent import RecurrentConfig, RecurrentLM


def slow_block_loss(model, tokens, block):
    """nanoGPT's way, one place at a time: x = tokens[s : s + block], y = x shifted by one."""
    losses = []
    for s in range(0, len(tokens) - block, block):
        x, y = tokens[s : s + block], tokens[s + 1 : s + block + 1]
        for j in range(block):
            losses.append(-math.log(model.next_token_probs(x[None, : j + 1])[0, y[j]]))
    return sum(losses) / len(losses)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=40), st.integers(1, 8))
def test_blocks_are_nanogpts(tokens, block):
    tokens = np.array(tokens)
    model = KneserNey(NGramCounts.of(np.array([0, 1, 2, 0, 1, 1, 2, 0, 0, 1]), 3, 3), 3)
    expected = slow_block_loss(model, tokens, min(block, len(tokens) - 1))
    assert evaluate_in_blocks(model, tokens, block) == pytest.approx(expected, abs=1e-12)


def test_a_uniform_model_loses_ln_v_and_hesitates_among_v_symbols():
    score = evaluate(Uniform(8), np.array([1, 2]), np.array([0, 7, 3, 3]), n_bytes=12)
    assert score.loss == pytest.approx(math.log(8), abs=1e-12)
    assert score.perplexity == pytest.approx(8, abs=1e-9)
    assert score.bits_per_char == pytest.approx(3, abs=1e-12)
    assert score.bits_per_byte == pytest.approx(1, abs=1e-12)


def test_the_first_token_sees_the_history():
    """After 0 comes 1, always: with the history 0 the first token is sure, without it is not."""
    model = AddK(NGramCounts.of(np.array([0, 1] * 50), 2, 2), 2, 0.01)
    text = np.array([1, 0, 1])
    with_history = evaluate(model, np.array([0]), text, 3)
    without = evaluate(model, np.array([], np.int64), text, 3)
    assert with_history.nats[0] < 0.001 < 0.6 < without.nats[0]
    np.testing.assert_array_equal(with_history.nats[1:], without.nats[1:])


def test_an_impossible_token_costs_infinitely_much():
    score = Score(np.array([1.0, math.inf]), 2)
    assert score.loss == score.perplexity == math.inf


def test_block_means_leave_out_the_rest():
    np.testing.assert_array_equal(Score(np.arange(8.0), 8).blocks(3), [1, 4])
    with pytest.raises(CourseError, match="fill no block"):
        Score(np.arange(2.0), 2).blocks(3)


def test_nothing_to_score_is_an_error():
    nothing = np.array([], np.int64)
    with pytest.raises(CourseError, match="no tokens to score"):
        evaluate(Uniform(2), nothing, nothing, 0)
    with pytest.raises(CourseError, match="one token"):
        evaluate_in_blocks(Uniform(2), np.array([1]))


# ------------------------------------------------------------------------------ PyTorch networks

CONTEXT, VOCAB = 8, 5


@pytest.fixture(scope="module")
def gpt():
    torch.manual_seed(0)
    shape = {"n_layers": 2, "n_heads": 2, "d_model": 8, "init_std": 0.5, "zero_init": False}
    return WindowedModel(GPT(GPTConfig(VOCAB, CONTEXT, **shape)), CONTEXT, batch_size=3)


def nats_of_one(model, history, target):
    """-ln p(target | history) by a forward pass of its own."""
    with torch.no_grad():
        logits = model.network(torch.from_numpy(history)[None])[0, -1]
    return -logits.double().log_softmax(-1)[target].item()


def slow_nats(model, tokens, start):
    """Token by token: the first window reads all it can, each later one moves on by half of it."""
    nats, end = [], max(start - 1 + CONTEXT // 2, CONTEXT)  # of the window, which starts at its
    for t in range(start, len(tokens)):  # end - CONTEXT
        if t > end:
            end += CONTEXT // 2
        first = max(0, min(end, len(tokens) - 1) - CONTEXT)
        nats.append(nats_of_one(model, tokens[first:t], tokens[t]))
        assert t - first >= min(t, CONTEXT // 2)  # the history that was promised
    return nats


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(2, 40))
def test_a_network_is_scored_as_token_by_token(gpt, data, n):
    """Within 1e-5 nats, whatever the length of the history and of the text."""
    tokens = np.random.default_rng(n).integers(VOCAB, size=n)
    start = data.draw(st.integers(1, n - 1))
    score = evaluate(gpt, tokens[:start], tokens[start:], n - start)
    np.testing.assert_allclose(score.nats, slow_nats(gpt, tokens, start), atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [1, 5, CONTEXT, 3 * CONTEXT])
def test_a_network_is_scored_in_the_same_blocks_as_a_counting_model(gpt, block):
    """Blocks go through the network together; one by one they give the same within 1e-6."""
    tokens = np.random.default_rng(0).integers(VOCAB, size=50)
    texts = [tokens[s : s + block + 1] for s in range(0, 50 - block, block)]
    expected = -np.mean([gpt.token_log_probs(text, start=1) for text in texts])
    assert evaluate_in_blocks(gpt, tokens, block) == pytest.approx(expected, abs=1e-6)


def test_blocks_of_a_network_are_nanogpts(gpt):
    tokens = np.random.default_rng(0).integers(VOCAB, size=50)
    losses = [
        nats_of_one(gpt, tokens[s : s + j + 1], tokens[s + j + 1])
        for s in range(0, 50 - CONTEXT, CONTEXT)
        for j in range(CONTEXT)
    ]
    assert evaluate_in_blocks(gpt, tokens, CONTEXT) == pytest.approx(np.mean(losses), abs=1e-5)


def test_a_token_without_history_gets_equal_shares(gpt):
    log_probs = gpt.token_log_probs(np.array([3, 1, 4]))
    assert log_probs[0] == pytest.approx(-math.log(VOCAB), abs=1e-12)
    np.testing.assert_array_equal(log_probs[1:], gpt.token_log_probs(np.array([3, 1, 4]), 1))
    assert gpt.token_log_probs(np.array([3])).shape == (1,)
    assert gpt.token_log_probs(np.array([3]), start=1).shape == (0,)


def test_scoring_turns_dropout_off_and_puts_the_mode_back():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Embedding(VOCAB, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, VOCAB)
    )
    model, tokens = WindowedModel(network.train(), CONTEXT), np.arange(40) % VOCAB
    np.testing.assert_array_equal(model.token_log_probs(tokens), model.token_log_probs(tokens))
    assert network.training


# --- networks that carry a state --------------------------------------------------------------


@pytest.fixture(scope="module", params=["rnn", "lstm", "gru"])
def recurrent(request):
    torch.manual_seed(0)
    model = RecurrentLM(RecurrentConfig(7, request.param, d_embedding=4, d_hidden=6)).eval()
    model.layers.weight_hh_l0.data.mul_(0.3)  # so that 40 tokens later the beginning is forgotten
    return model


@torch.no_grad()
def read_at_once(model, tokens):
    """The definition: one pass over the whole text from an empty state."""
    log_probs = model(torch.from_numpy(tokens)[None, :-1]).log_softmax(-1)[0]
    scored = log_probs.gather(1, torch.from_numpy(tokens)[1:, None])[:, 0]
    return np.concatenate([[-math.log(7)], scored.double().numpy()])


@pytest.mark.parametrize("start", [0, 1, 2, 400, 599, 600, 700])
def test_a_state_is_carried_through_the_whole_text(recurrent, start):
    tokens = np.random.default_rng(0).integers(7, size=600)
    scored = CarriedModel(recurrent).token_log_probs(tokens, start)
    np.testing.assert_allclose(scored, read_at_once(recurrent, tokens)[start:], atol=1e-6)


@pytest.mark.parametrize(("streams", "warm_up"), [(1, 600), (2, 40), (3, 50), (7, 60), (64, 45)])
@pytest.mark.parametrize("start", [0, 1, 30, 333])
def test_streams_read_side_by_side_score_each_token_once(recurrent, streams, warm_up, start):
    tokens = np.random.default_rng(1).integers(7, size=600)
    carried = CarriedModel(recurrent, streams, warm_up).token_log_probs(tokens, start)
    far = 1e-4 if streams > 1 else 1e-6
    np.testing.assert_allclose(carried, read_at_once(recurrent, tokens)[start:], atol=far)
    assert len(carried) == 600 - start


def test_in_blocks_the_state_begins_anew(recurrent):
    tokens = np.random.default_rng(2).integers(7, size=70)
    blocks = [read_at_once(recurrent, tokens[s : s + 17])[1:] for s in (0, 16, 32, 48)]
    loss = evaluate_in_blocks(CarriedModel(recurrent, streams=3), tokens, block=16)
    assert loss == pytest.approx(-np.mean(blocks), abs=1e-6)


def test_a_text_of_one_token_and_of_none(recurrent):
    model = CarriedModel(recurrent)
    assert model.token_log_probs(np.array([3])).tolist() == [-math.log(7)]
    assert model.token_log_probs(np.array([], dtype=np.int64)).tolist() == []
    assert isinstance(model, LanguageModel)


# --- two models mixed -------------------------------------------------------------------------


def test_the_weight_of_a_mixture_is_the_best_of_all_weights():
    random = np.random.default_rng(0)
    first, second = random.exponential(2, 500), random.exponential(2.5, 500)
    weight = mixture_weight(first, second)
    losses = {w: mix(first, second, w).mean() for w in np.linspace(0, 1, 101)}
    assert weight == pytest.approx(min(losses, key=losses.get), abs=0.01)
    assert mix(first, second, weight).mean() <= min(losses.values()) + 1e-6


def test_a_model_mixed_with_itself_or_with_one_that_knows_nothing():
    nats = np.random.default_rng(0).uniform(0, 2, 200)
    np.testing.assert_allclose(mix(nats, nats, 0.3), nats, atol=1e-12)
    assert mixture_weight(nats, np.full(200, 1000.0)) == pytest.approx(1, abs=1e-9)
    assert mixture_weight(np.full(200, np.inf), nats) == pytest.approx(0, abs=1e-9)
