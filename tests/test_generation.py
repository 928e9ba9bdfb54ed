"""Writing: what is drawn is what the model believes, at the temperature asked for."""

import math

import pytest
import torch
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.generation import generate, next_token
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
