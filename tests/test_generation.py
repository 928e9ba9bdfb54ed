"""Writing: what is drawn is what the model believes, at the temperature asked for."""

import math

import pytest
import torch
import transformers.generation.logits_process as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.generation import (
    Sampling,
    beam_search,
    generate,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_token,
    penalise_repetition,
    stream,
)
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.mlp import MLP, MLPConfig
from course_lib.models.recurrent import RecurrentConfig, RecurrentLM

CONTEXT = 6
PROMPT = torch.tensor([1, 2])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = {"n_layers": 1, "n_heads": 2, "d_model": 8, "init_std": 0.5, "zero_init": False}
    return GPT(GPTConfig(5, CONTEXT, **shape)).eval()


def test_at_temperature_zero_each_token_is_the_likeliest_after_the_last_context(model):
    tokens = PROMPT.tolist()
    for _ in range(3 * CONTEXT):
        tokens.append(model(torch.tensor([tokens[-CONTEXT:]]))[0, -1].argmax().item())
    written = generate(model, PROMPT, 3 * CONTEXT, temperature=0, seed=1)
    assert written.tolist() == tokens[2:]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@torch.no_grad()
def test_a_recurrent_network_writes_from_all_that_was_read(cell):
    torch.manual_seed(0)
    model = RecurrentLM(RecurrentConfig(5, cell, d_embedding=4, d_hidden=8)).eval()
    model.head.weight.mul_(5)
    tokens = PROMPT.tolist()
    for _ in range(20):
        tokens.append(model(torch.tensor([tokens]))[0, -1].argmax().item())
    assert generate(model, PROMPT, 20, temperature=0).tolist() == tokens[2:]


def test_an_mlp_writes():
    torch.manual_seed(0)
    model = MLP(MLPConfig(5, context=3, d_embedding=4, d_hidden=8)).eval()
    tokens = PROMPT.tolist()
    for _ in range(10):
        tokens.append(model(torch.tensor([tokens[-3:]]))[0, -1].argmax().item())
    assert generate(model, PROMPT, 10, temperature=0).tolist() == tokens[2:]


def test_a_seed_is_a_text_and_another_seed_another(model):
    one, same, other = (generate(model, PROMPT, 40, seed=seed) for seed in (7, 7, 8))
    assert one.tolist() == same.tolist() != other.tolist()
    assert set(one.tolist()) <= set(range(5))


def test_the_callers_random_numbers_stay_as_they_were(model):
    before = torch.get_rng_state()
    generate(model, PROMPT, 5)
    assert_close(torch.get_rng_state(), before, atol=0, rtol=0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_softmax_says(temperature):
    """20,000 draws; the shares are right within 0.015, four standard errors."""
    logits, random = torch.tensor([0.0, 1.0, 2.0, -math.inf]), torch.Generator().manual_seed(0)
    drawn = torch.stack([next_token(logits, temperature, random) for _ in range(20_000)])
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert_close(shares, (logits / temperature).softmax(-1), atol=0.015, rtol=0)
    assert shares[3] == 0


def test_a_tiny_temperature_is_like_zero():
    logits = torch.tensor([3.0, 80.0, 79.9])
    assert (
        next_token(logits, 1e-300, torch.Generator())
        == next_token(logits, 0, torch.Generator())
        == 1
    )


def test_what_cannot_be_written_is_an_error(model):
    assert generate(model, PROMPT, 0).tolist() == []
    with pytest.raises(CourseError, match="prompt is empty"):
        generate(model, PROMPT[:0], 5)
    with pytest.raises(CourseError, match="length of 0 or more"):
        generate(model, PROMPT, -1)
    for temperature in (-1.0, math.nan, math.inf):
        with pytest.raises(CourseError, match="temperature"):
            generate(model, PROMPT, 5, temperature)


# --- rules ------------------------------------------------------------------------------------


@st.composite
def logits_and_history(draw):
    torch.manual_seed(draw(st.integers(0, 10_000)))
    vocab = draw(st.integers(2, 30))
    logits = draw(st.sampled_from([0.1, 1.0, 5.0])) * torch.randn(2, vocab)
    return logits, torch.randint(vocab, (2, draw(st.integers(1, 8))))


RULES = {
    "top-k": (lambda x, h: keep_top_k(x, 5), hf.TopKLogitsWarper(5)),
    "top-p 0.6": (lambda x, h: keep_top_p(x, 0.6), hf.TopPLogitsWarper(0.6)),
    "top-p 0.95": (lambda x, h: keep_top_p(x, 0.95), hf.TopPLogitsWarper(0.95)),
    "min-p": (lambda x, h: keep_min_p(x, 0.2), hf.MinPLogitsWarper(0.2)),
    "penalty": (
        lambda x, h: penalise_repetition(x, h, 1.3),
        hf.RepetitionPenaltyLogitsProcessor(1.3),
    ),
}


@pytest.mark.parametrize("name", RULES)
@given(logits_and_history())
@settings(deadline=None, max_examples=60)
def test_each_rule_is_hugging_faces(name, case):
    ours, theirs = RULES[name]
    logits, history = case
    assert_close(ours(logits, history), theirs(history, logits.clone()), atol=1e-6, rtol=0)


@given(logits_and_history(), st.sampled_from([0.5, 1.0, 1.7]))
@settings(deadline=None, max_examples=60)
def test_all_rules_together_are_hugging_faces_in_their_order(case, temperature):
    logits, history = case[0][0], case[1][0]
    theirs = logits[None].clone()
    for rule in (
        hf.RepetitionPenaltyLogitsProcessor(1.2),
        hf.TemperatureLogitsWarper(temperature),
        hf.TopKLogitsWarper(8),
        hf.TopPLogitsWarper(0.9),
        hf.MinPLogitsWarper(0.1),
    ):
        theirs = rule(history[None], theirs)
    sampling = Sampling(temperature, top_k=8, top_p=0.9, min_p=0.1, repetition_penalty=1.2)
    ours = sampling.allowed(logits, history.tolist())
    assert_close((ours / temperature).softmax(-1), theirs[0].softmax(-1), atol=1e-6, rtol=0)


def test_the_nucleus_by_hand_and_its_edges():
    probs = torch.tensor([0.1, 0.5, 0.3, 0.1])
    for p, kept in [(0.5, [1]), (0.51, [1, 2]), (1e-9, [1]), (1.0, [0, 1, 2, 3])]:
        allowed = keep_top_p(probs.log(), p).isfinite().nonzero().flatten()
        assert allowed.tolist() == kept


def test_a_penalty_never_makes_a_token_likelier():
    penalised = penalise_repetition(torch.tensor([2.0, -2.0, 1.0]), torch.tensor([0, 1]), 2.0)
    assert penalised.tolist() == [1.0, -4.0, 1.0]


@pytest.mark.parametrize(
    "rule",
    [
        {"top_k": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"repetition_penalty": 0},
        {"temperature": math.nan},
    ],
)
def test_a_rule_that_means_nothing_is_an_error(rule):
    with pytest.raises(CourseError, match="give"):
        Sampling(**rule)


def test_a_stream_ends_before_a_token_that_stops_it(model):
    whole = generate(model, PROMPT, 30).tolist()
    stop = whole[3]
    assert list(stream(model, PROMPT, 30, stop=[stop])) == whole[: whole.index(stop)]


def test_rules_reach_the_text(model):
    assert generate(model, PROMPT, 20, top_k=1).tolist() == (
        generate(model, PROMPT, 20, temperature=0).tolist()
    )


# --- beam search ------------------------------------------------------------------------------


@torch.no_grad()
def test_with_room_for_all_texts_beam_search_finds_the_likeliest(model):
    every = torch.cartesian_prod(*[torch.arange(5)] * 3)
    whole = torch.cat([PROMPT.expand(len(every), -1), every], dim=1)
    log_probs = model(whole)[:, 1:-1].log_softmax(-1).gather(-1, every[..., None]).sum((1, 2))
    best = log_probs.argmax()
    beam = beam_search(model, PROMPT, 3, n_beams=125)[0]
    assert beam.tokens == tuple(every[best].tolist())
    assert beam.log_prob == pytest.approx(log_probs[best].item(), abs=1e-5)


def test_one_beam_is_greedy_and_more_are_never_less_likely(model):
    greedy = generate(model, PROMPT, 4, temperature=0).tolist()
    assert list(beam_search(model, PROMPT, 4, n_beams=1)[0].tokens) == greedy
    found = [beam_search(model, PROMPT, 4, n_beams=n)[0].log_prob for n in (1, 125)]
    assert found[0] <= found[1] + 1e-6


def test_a_beam_search_that_cannot_be_is_an_error(model):
    for arguments in ((PROMPT[:0], 2, 2), (PROMPT, 0, 2), (PROMPT, 2, 0)):
        with pytest.raises(CourseError, match="1 beam or more"):
            beam_search(model, *arguments)
    with pytest.raises(CourseError, match="do not fit"):
        beam_search(model, PROMPT, CONTEXT)
