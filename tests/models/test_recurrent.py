"""Our cells against torch's; states in and out; what a folder withstands."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.mlp import MLP
from course_lib.models.recurrent import (
    KINDS,
    CellWeights,
    Recurrent,
    RecurrentConfig,
    RecurrentLM,
    gradient_by_distance,
)
from course_lib.training.objectives import causal_lm_loss

IN_TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CELLS_IN_TORCH = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
SMALL = RecurrentConfig(vocab_size=11, d_embedding=5, d_hidden=8, n_layers=2)
TOKENS = torch.randint(11, (3, 20), generator=torch.Generator().manual_seed(0))

kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)


def bare(state):
    """As torch takes it: h alone, or the pair (h, c)."""
    return state if len(state) == 2 else state[0]


@kinds
@torch.no_grad()
def test_our_cell_is_torchs(kind):
    theirs = CELLS_IN_TORCH[kind](5, 8)
    weights = CellWeights(theirs.weight_ih, theirs.weight_hh, theirs.bias_ih, theirs.bias_hh)
    x, state = torch.randn(3, 5), tuple(torch.randn(3, 8) for _ in range(KINDS[kind].n_states))
    ours, expected = KINDS[kind].cell(x, state, weights), theirs(x, bare(state))
    assert_close(bare(ours), expected, atol=1e-6, rtol=0)


@kinds
@pytest.mark.parametrize("n_layers", [1, 3])
def test_our_layers_are_torchs_forwards_and_backwards(kind, n_layers):
    theirs = IN_TORCH[kind](5, 8, n_layers, batch_first=True)
    ours = Recurrent(kind, 5, 8, n_layers)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 20, 5)
    state = tuple(torch.randn(n_layers, 3, 8) for _ in range(KINDS[kind].n_states))
    for start in (None, state):
        outputs, after = ours(x, start)
        expected, expected_after = theirs(x, bare(start) if start else None)
        assert_close(outputs, expected, atol=1e-6, rtol=0)
        assert_close(bare(after), expected_after, atol=1e-6, rtol=0)
    outputs.square().mean().backward()
    expected.square().mean().backward()
    for name, parameter in theirs.named_parameters():
        assert_close(ours.get_parameter(name).grad, parameter.grad, atol=1e-6, rtol=0)


@kinds
def test_our_layers_start_as_wide_as_torchs(kind):
    ours, theirs = Recurrent(kind, 50, 60, 2), IN_TORCH[kind](50, 60, 2)
    for name, parameter in theirs.named_parameters():
        assert parameter.abs().max().item() == pytest.approx(60**-0.5, rel=0.1)
        assert ours.get_parameter(name).abs().max().item() == pytest.approx(60**-0.5, rel=0.1)


@kinds
@torch.no_grad()
def test_the_fused_language_model_is_the_one_written_out(kind):
    fused = RecurrentLM(replace(SMALL, cell=kind))
    written_out = RecurrentLM(replace(SMALL, cell=kind, fused=False))
    written_out.load_state_dict(fused.state_dict())
    for state in (None, fused.read(TOKENS)[1]):
        logits, after = fused.read(TOKENS, state)
        ours, our_after = written_out.read(TOKENS, state)
        assert_close(ours, logits, atol=1e-6, rtol=0)
        assert_close(our_after, after, atol=1e-6, rtol=0)


@kinds
@pytest.mark.parametrize("fused", [True, False])
@torch.no_grad()
def test_a_text_read_in_two_parts_is_the_text_read_whole(kind, fused):
    model = RecurrentLM(replace(SMALL, cell=kind, fused=fused))
    whole, last = model.read(TOKENS)
    first, state = model.read(TOKENS[:, :7])
    second, after = model.read(TOKENS[:, 7:], state)
    assert_close(torch.cat([first, second], dim=1), whole, atol=1e-6, rtol=0)
    assert_close(after, last, atol=1e-6, rtol=0)
    assert_close(model(TOKENS), whole, atol=0, rtol=0)


@kinds
def test_it_starts_forgetting_little_and_orthogonal(kind):
    model = RecurrentLM(replace(SMALL, cell=kind))
    for layer in range(2):
        U = getattr(model.layers, f"weight_hh_l{layer}").detach()
        for block in U.split(8):
            assert_close(block @ block.T, torch.eye(8), atol=1e-5, rtol=0)
        if kind == "lstm":
            assert (getattr(model.layers, f"bias_ih_l{layer}")[8:16] == 1).all()


@kinds
def test_the_future_is_not_seen_and_the_loss_reaches_every_weight(kind):
    model = RecurrentLM(replace(SMALL, cell=kind))
    other = TOKENS.clone()
    other[:, 12:] = (other[:, 12:] + 1) % 11
    assert_close(model(other)[:, :12], model(TOKENS)[:, :12], atol=1e-6, rtol=0)
    causal_lm_loss(model, TOKENS)[0].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


@kinds
def test_a_folder_gives_the_same_network_back(kind, tmp_path):
    model = RecurrentLM(replace(SMALL, cell=kind))
    model.save(tmp_path)
    assert torch.equal(RecurrentLM.load(tmp_path)(TOKENS), model(TOKENS))


def test_a_folder_of_something_else_is_an_error(tmp_path):
    with pytest.raises(CourseError, match="there is no "):
        RecurrentLM.load(tmp_path)
    RecurrentLM(SMALL).save(tmp_path)
    with pytest.raises(CourseError, match="not a MLP's config"):
        MLP.load(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    (tmp_path / "config.json").write_text(json.dumps(fields | {"d_hidden": 9}))
    with pytest.raises(CourseError, match="another model"):
        RecurrentLM.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    weights.write_bytes(content[:-9])
    with pytest.raises(CourseError, match="cut off"):
        RecurrentLM.load(tmp_path)
    save_file({"x": torch.ones(1)}, weights)
    with pytest.raises(CourseError, match="another model"):
        RecurrentLM.load(tmp_path)


@pytest.mark.parametrize("fields", [{"d_hidden": 0}, {"n_layers": -1}, {"d_embedding": 0}])
def test_shapes_that_cannot_be_are_an_error(fields):
    with pytest.raises(CourseError, match="must be a whole number of 1 or more"):
        replace(SMALL, **fields)


def test_a_gradient_shrinks_by_the_size_of_u_at_each_step():
    model = RecurrentLM(RecurrentConfig(11, "rnn", d_embedding=5, d_hidden=8))
    for parameter in model.parameters():
        parameter.data.mul_(1e-3)  # so near zero that tanh is a straight line
    model.layers.weight_hh_l0.data.copy_(0.5 * torch.eye(8))
    left = gradient_by_distance(model, TOKENS)
    assert_close(left, 0.5 ** torch.arange(19.0), atol=0, rtol=1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("fused", [True, False])
def test_an_open_forget_gate_hands_the_gradient_back(fused):
    model = RecurrentLM(RecurrentConfig(11, "lstm", d_embedding=5, d_hidden=8, fused=fused))
    model.layers.bias_ih_l0.data[8:16] = 20.0
    assert gradient_by_distance(model, TOKENS)[18] > 0.1
    model.layers.bias_ih_l0.data[8:16] = -20.0
    assert gradient_by_distance(model, TOKENS)[18] < 1e-3
