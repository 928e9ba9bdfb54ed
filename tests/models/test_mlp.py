"""Bengio's network: its formula, what each position may see, and its folder."""

import pytest
import torch
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.mlp import MLP, MLPConfig
from course_lib.training.objectives import causal_lm_loss

SMALL = MLPConfig(vocab_size=11, context=3, d_embedding=4, d_hidden=8)
TOKENS = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MLP(SMALL).eval()


@torch.no_grad()
def test_each_position_is_the_papers_formula(model):
    C, H, d = model.embedding.weight, model.hidden.weight, model.hidden.bias
    U, b = model.head.weight, model.head.bias
    logits = model(TOKENS)
    for t in range(TOKENS.size(1)):
        history = [11] * max(0, 2 - t) + TOKENS[0, max(0, t - 2) : t + 1].tolist()
        x = torch.cat([C[w] for w in history])
        assert_close(logits[0, t], b + U @ torch.tanh(d + H @ x), atol=1e-6, rtol=0)


@torch.no_grad()
def test_it_sees_the_last_n_symbols_and_no_other(model):
    for changed in range(9):
        other = TOKENS.clone()
        other[:, changed] = (other[:, changed] + 1) % 11
        differs = (model(other) != model(TOKENS)).any(dim=-1).all(dim=0)
        assert differs.nonzero().flatten().tolist() == list(range(changed, min(changed + 3, 9)))


def test_the_start_symbol_is_learned(model):
    causal_lm_loss(model, TOKENS)[0].backward()
    assert (model.embedding.weight.grad[11] != 0).all()


def test_a_folder_gives_the_same_network_back(model, tmp_path):
    model.save(tmp_path)
    assert torch.equal(MLP.load(tmp_path)(TOKENS), model(TOKENS))
    assert model.n_parameters() == 12 * 4 + (3 * 4 + 1) * 8 + (8 + 1) * 11


def test_sizes_that_cannot_be_are_an_error():
    with pytest.raises(CourseError, match="context is 0"):
        MLPConfig(vocab_size=11, context=0)
