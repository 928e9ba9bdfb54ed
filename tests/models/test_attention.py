"""Attention against hand-worked numbers, PyTorch's own operator and Hugging Face's Llama."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from course_lib.errors import CourseError
from course_lib.models.attention import (
    MultiHeadAttention,
    Rotary,
    causal_mask,
    padding_mask,
    position_angles,
    scaled_dot_product_attention,
)


@st.composite
def queries_keys_values_masks(draw):
    """Random Q, K, V and a mask in which some queries may look at nothing."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    batch, queries, keys, d_k, d_v = (draw(st.integers(1, 5)) for _ in range(5))
    q, k = torch.randn(batch, queries, d_k), torch.randn(batch, keys, d_k)
    mask = torch.rand(batch, queries, keys) < draw(st.floats(0, 1))
    return q, k, torch.randn(batch, keys, d_v), mask


# --- the formula ------------------------------------------------------------------------------


def test_attention_by_hand_on_two_tokens():
    q = torch.tensor([[2.0, 0.0, 0.0, 0.0]])  # scores 2·ln 3 / √4 = ln 3 and 0: weights 3/4, 1/4
    k = torch.tensor([[math.log(3), 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    v = torch.tensor([[4.0, 0.0], [0.0, 8.0]])
    mixed, weights = scaled_dot_product_attention(q, k, v)
    assert_close(weights, torch.tensor([[0.75, 0.25]]), atol=1e-6, rtol=0)
    assert_close(mixed, torch.tensor([[3.0, 2.0]]), atol=1e-6, rtol=0)


@given(queries_keys_values_masks())
@settings(deadline=None, max_examples=50)
def test_rows_of_weights_sum_to_one_or_to_nothing(case):
    q, k, v, mask = case
    mixed, weights = scaled_dot_product_attention(q, k, v, mask)
    sees_something = mask.any(-1)
    assert_close(weights.sum(-1), sees_something.float(), atol=1e-6, rtol=0)
    assert (weights[~mask] == 0).all()
    assert (mixed[~sees_something] == 0).all()


@given(queries_keys_values_masks())
@settings(deadline=None, max_examples=50)
def test_the_formula_is_pytorchs_operator(case):
    q, k, v, mask = case
    ours, _ = scaled_dot_product_attention(q, k, v, mask)
    assert_close(ours, F.scaled_dot_product_attention(q, k, v, mask), atol=1e-6, rtol=0)


def test_a_query_that_sees_nothing_has_finite_gradients():
    q, k, v = (torch.randn(3, 2, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[False] * 3, [True] * 3, [True, False, True]])
    scaled_dot_product_attention(q, k, v, mask)[0].sum().backward()
    assert all(x.grad.isfinite().all() for x in (q, k, v))
    assert (q.grad[0] == 0).all()


def test_queries_and_keys_of_different_width_are_refused():
    with pytest.raises(ValueError, match="3 numbers and keys 4"):
        # as in a notebook, where no hook checks the shapes first
        getattr(scaled_dot_product_attention, "__wrapped__", scaled_dot_product_attention)(
            torch.ones(1, 3), torch.ones(1, 4), torch.ones(1, 2)
        )


def test_causal_mask_shows_the_past_and_padding_mask_the_first_tokens():
    assert causal_mask(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert padding_mask(torch.tensor([1, 3]), 3).int().tolist() == [[[1, 0, 0]], [[1, 1, 1]]]
    both = causal_mask(3) & padding_mask(torch.tensor([2, 3]), 3)
    assert both[0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 0]]


# --- rotary positions -------------------------------------------------------------------------


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 40))
@settings(deadline=None, max_examples=50)
def test_a_rotary_score_depends_only_on_the_distance(m, n, shift):
    torch.manual_seed(0)
    rotary, q, k = Rotary(8, 64), torch.randn(8), torch.randn(8)

    def turned(x, position):
        return rotary(x.expand(1, 64, 1, 8))[0, position, 0]

    here = turned(q, m) @ turned(k, n)
    assert_close(turned(q, m + shift) @ turned(k, n + shift), here, atol=1e-5, rtol=0)


def test_rotary_positions_turn_but_do_not_stretch_and_leave_the_first_token():
    x = torch.randn(2, 5, 3, 8)
    turned = Rotary(8, 16)(x)
    assert_close(turned[:, 0], x[:, 0], atol=0, rtol=0)
    assert_close(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5, rtol=0)
    assert (turned[:, 1:] - x[:, 1:]).abs().min(dim=-1).values.max() > 1e-3


def test_rotary_is_hugging_faces_up_to_the_order_of_the_numbers():
    x, angles = torch.randn(2, 16, 3, 8), position_angles(16, 8)
    halves = torch.cat([x[..., 0::2], x[..., 1::2]], dim=-1)  # they pair i with i + 4
    cos, sin = (f(torch.cat([angles, angles], dim=-1))[None] for f in (torch.cos, torch.sin))
    theirs, _ = apply_rotary_pos_emb(halves, halves, cos, sin, unsqueeze_dim=2)
    ours = Rotary(8, 16)(x)
    ours = torch.cat([ours[..., 0::2], ours[..., 1::2]], dim=-1)
    assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_rotary_works_in_half_and_double_precision():
    x, rotary = torch.randn(1, 6, 2, 4, dtype=torch.float64), Rotary(4, 6)
    assert_close(rotary(x).float(), rotary(x.float()), atol=1e-6, rtol=0)
    assert_close(rotary(x.bfloat16()).double(), rotary(x), atol=0.05, rtol=0)
    assert rotary(x.bfloat16()).dtype == torch.bfloat16


def test_an_odd_width_has_no_pairs_to_turn():
    with pytest.raises(CourseError, match="7 is odd"):
        Rotary(7, 16)


# --- the layer --------------------------------------------------------------------------------


def test_two_heads_by_hand():
    layer = MultiHeadAttention(d_model=2, n_heads=2)  # d_head = 1
    with torch.no_grad():
        # head 1 asks with x₁ and finds it in x₂; head 2 asks nothing, so it takes the mean
        layer.qkv.weight.copy_(
            torch.tensor([[1.0, 0], [0, 0], [0, 1.0], [0, 1.0], [1.0, 0], [0, 1.0]])
        )
        layer.out.weight.copy_(torch.tensor([[1.0, 0], [0, 10.0]]))
    x = torch.tensor([[[1.0, 0.0], [0.0, math.log(3)]]])
    # token 1, head 1: scores 1·0 and 1·ln 3, weights 1/4 and 3/4, values 1 and 0; head 2: mean
    expected = torch.tensor([[[0.25, 5 * math.log(3)], [0.5, 5 * math.log(3)]]])
    assert_close(layer(x), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_the_layer_is_the_formula_in_every_head(n_kv_heads, causal, padded):
    torch.manual_seed(0)
    layer = MultiHeadAttention(
        16, 4, n_kv_heads, causal=causal, bias=True, qk_norm=True, rotary=Rotary(4, 8)
    )
    x = torch.randn(3, 6, 16)
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask = mask & causal_mask(6) if causal else mask
    padding = padding_mask(torch.tensor([6, 1, 3]), 6) if padded else None
    mask = mask & padding if padded else mask.expand(3, 6, 6)
    q, k, v = layer.queries_keys_values(x)
    heads = [
        scaled_dot_product_attention(
            q[:, i], k[:, i * n_kv_heads // 4], v[:, i * n_kv_heads // 4], mask
        )[0]
        for i in range(4)
    ]
    assert_close(layer(x, padding), layer.out(torch.cat(heads, dim=-1)), atol=1e-6, rtol=0)


def test_a_token_that_sees_nothing_gets_zeros_from_the_layer():
    layer = MultiHeadAttention(8, 2, causal=True)
    x = torch.randn(1, 4, 8, requires_grad=True)
    left_padded = torch.tensor([[[False, False, True, True]]])  # tokens 0 and 1 see only padding
    mixed = layer(x, left_padded)
    mixed.sum().backward()
    assert (mixed[0, :2] == 0).all()
    assert (mixed[0, 2:] != 0).all()
    assert x.grad.isfinite().all()


def test_without_positions_attention_does_not_know_the_order():
    layer, x, order = MultiHeadAttention(8, 2), torch.randn(1, 5, 8), torch.randperm(5)
    assert_close(layer(x)[:, order], layer(x[:, order]), atol=1e-6, rtol=0)
    turned = MultiHeadAttention(8, 2, rotary=Rotary(4, 5))
    assert (turned(x)[:, [1, 0]] - turned(x[:, [1, 0]])[:, [0, 1]]).abs().max() > 1e-4


def test_normalised_queries_and_keys_bound_every_score():
    layer = MultiHeadAttention(16, 2, qk_norm=True, rotary=Rotary(8, 4))
    q, k, _ = layer.queries_keys_values(1000 * torch.randn(2, 4, 16))
    assert (q @ k.mT / math.sqrt(8)).abs().max() <= math.sqrt(8) + 1e-4


def test_autocast_keeps_attention_in_single_precision_and_close():
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(32, 4, causal=True), torch.randn(2, 8, 32)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x)
    assert half.dtype == torch.bfloat16
    assert_close(half.float(), layer(x), atol=0.02, rtol=0)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(CourseError, match="3 heads must divide d_model = 8"):
        MultiHeadAttention(8, 3)
    with pytest.raises(CourseError, match="3 key/value heads must divide"):
        MultiHeadAttention(8, 4, 3)
