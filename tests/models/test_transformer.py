"""The parts of a block against their formulas written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from course_lib.models.attention import MultiHeadAttention, causal_mask
from course_lib.models.transformer import (
    MLP,
    Block,
    PostNormBlock,
    SquaredReLU,
    norm_layer,
    sinusoidal_positions,
    swiglu,
)


def test_sinusoidal_positions_are_the_papers_formula():
    table = sinusoidal_positions(50, 6)
    for pos, i in [(0, 0), (1, 0), (7, 1), (49, 2)]:
        angle = pos / 10_000 ** (2 * i / 6)
        expected = torch.tensor([math.sin(angle), math.cos(angle)])
        assert_close(table[pos, 2 * i : 2 * i + 2], expected, atol=1e-5, rtol=0)


def test_layer_norm_gives_mean_zero_and_variance_one():
    x = 5 + 3 * torch.randn(4, 64)
    y = norm_layer("layer", 64)(x)
    assert_close(y.mean(-1), torch.zeros(4), atol=1e-5, rtol=0)
    assert_close(y.var(-1, correction=0), torch.ones(4), atol=1e-4, rtol=0)


def test_rms_norm_divides_by_the_root_mean_square():
    x = torch.tensor([[3.0, 4.0, 0.0, 0.0]])  # mean square 25/4, its root 2.5
    assert_close(norm_layer("rms", 4)(x), torch.tensor([[1.2, 1.6, 0.0, 0.0]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "bias", "learned"), [("layer", True, 2), ("layer", False, 1)])
def test_a_layer_norm_has_a_shift_only_with_bias(kind, bias, learned):
    assert len(list(norm_layer(kind, 4, bias=bias).parameters())) == learned


def test_squared_relu_and_its_gradient_are_those_of_the_formula():
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.equal(SquaredReLU.apply(x), F.relu(x).square())
    assert torch.autograd.gradcheck(SquaredReLU.apply, (x,))


def test_swiglu_gates_the_second_half_by_the_first():
    x = torch.tensor([0.0, 1.0, 5.0, 2.0])  # SiLU(0) · 5 and SiLU(1) · 2
    assert_close(swiglu(x), torch.tensor([0.0, 2 / (1 + math.exp(-1))]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["gelu", "gelu_tanh", "relu2"])
def test_the_mlp_is_its_formula(kind):
    activation = {
        "gelu": lambda z: z * (1 + torch.erf(z / math.sqrt(2))) / 2,
        "gelu_tanh": lambda z: (
            z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2
        ),
        "relu2": lambda z: z.clamp(min=0) ** 2,
    }[kind]
    mlp, x = MLP(4, 12, kind, bias=True), torch.randn(2, 3, 4)
    expected = mlp.down(activation(x @ mlp.up.weight.T + mlp.up.bias))
    assert_close(mlp(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("kind", "bias", "numbers"), [("gelu", False, 96), ("swiglu", True, 172)])
def test_the_mlps_size(kind, bias, numbers):
    # 2 · 4 · 12, and 3 · 4 · 12 with 24 + 4 biases
    assert sum(p.numel() for p in MLP(4, 12, kind, bias).parameters()) == numbers


def block(causal=False):
    return Block(
        MultiHeadAttention(8, 2, causal=causal),
        MLP(8, 16),
        norm_layer("layer", 8),
        norm_layer("layer", 8),
    )


def test_a_block_adds_to_the_stream_what_its_two_parts_say_of_the_normalised_stream():
    b, x = block(), torch.randn(2, 5, 8)
    middle = x + b.attention(F.layer_norm(x, (8,)))
    assert_close(b(x), middle + b.mlp(F.layer_norm(middle, (8,))), atol=1e-6, rtol=0)


def test_a_block_hands_its_mask_to_attention():
    b, x = block(), torch.randn(2, 5, 8)
    causal = block(causal=True)
    causal.load_state_dict(b.state_dict())
    assert_close(b(x, causal_mask(5)[None]), causal(x), atol=1e-6, rtol=0)


def test_the_stream_passes_through_a_block_whose_outputs_are_zero():
    b, x = block(), torch.randn(2, 5, 8)
    torch.nn.init.zeros_(b.attention.out.weight)
    torch.nn.init.zeros_(b.mlp.down.weight)
    assert torch.equal(b(x), x)


@pytest.mark.parametrize("norm_first", [True, False])
def test_both_blocks_are_torchs_encoder_layer(norm_first):
    kind = Block if norm_first else PostNormBlock
    block = kind(
        MultiHeadAttention(8, 2, bias=True),
        MLP(8, 32, "relu", bias=True),
        norm_layer("layer", 8, bias=True),
        norm_layer("layer", 8, bias=True),
    )
    for parameter in block.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    theirs = torch.nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, batch_first=True, norm_first=norm_first
    )
    ours = block.state_dict()
    names = {"attention.qkv.": "self_attn.in_proj_", "attention.out": "self_attn.out_proj"}
    names |= {"mlp.up": "linear1", "mlp.down": "linear2"}
    names |= {"attention_norm": "norm1", "mlp_norm": "norm2"}
    state = {}
    for name, tensor in ours.items():
        for from_us, to_torch in names.items():
            name = name.replace(from_us, to_torch)
        state[name] = tensor
    theirs.load_state_dict(state)
    x = torch.randn(2, 5, 8)
    assert_close(block(x), theirs(x), atol=1e-5, rtol=0)
