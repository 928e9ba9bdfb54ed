"""Attention: every token asks the others a question and mixes what they answer.

`scaled_dot_product_attention` is the formula, softmax(Q Kᵀ / √d_k) V, to be read. Models use the
layer `MultiHeadAttention`: PyTorch's fused kernel for the same formula, grouped queries, normalised
queries and keys, rotary positions. Masks say who may look at whom: `causal_mask`, `padding_mask`,
and `causal_mask(…) & padding_mask(…)` for both.

Letters: Q, K, V are queries, keys and values; d_k is the width of a query or key, d_v of a value.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.cache import LayerCache

# ---------------------------------------------------------------------------------------------
# The formula
# ---------------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Float[Tensor, "*batch queries d_k"],
    key: Float[Tensor, "*batch keys d_k"],
    value: Float[Tensor, "*batch keys d_v"],
    mask: Bool[Tensor, "*#batch queries keys"] | None = None,
) -> tuple[Float[Tensor, "*batch queries d_v"], Float[Tensor, "*batch queries keys"]]:
    """Mix the values by how well their keys match each query: softmax(Q Kᵀ / √d_k) V.

    `mask` is True where a query may look at a key. A query that may look at nothing gets zeros.
    Returns the mixed values and the attention weights, whose rows sum to one.

    Raises ValueError when query and key differ in d_k.
    Vaswani et al. (2017), "Attention Is All You Need", equation 1.
    """
    d_k = query.size(-1)
    if key.size(-1) != d_k:
        raise ValueError(f"queries have {d_k} numbers and keys {key.size(-1)}; d_k must be equal")
    scores = query @ key.mT / math.sqrt(d_k)  # (*batch, queries, keys)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)  # each row sums to one
    if mask is not None:
        weights = weights.masked_fill(~mask, 0.0)  # changes only the rows that may look at nothing
    return weights @ value, weights


def causal_mask(n_tokens: int, device: torch.device | None = None) -> Bool[Tensor, "n n"]:
    """Query t may look at keys 0 … t: at itself and the past, never at the future."""
    return torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=device).tril()


def padding_mask(lengths: Int[Tensor, " batch"], n_tokens: int) -> Bool[Tensor, "batch 1 keys"]:
    """Every query may look at the first `lengths[b]` keys of text b; the rest is padding."""
    return torch.arange(n_tokens, device=lengths.device) < lengths[:, None, None]


# ---------------------------------------------------------------------------------------------
# Rotary positions
# ---------------------------------------------------------------------------------------------


def position_angles(
    n_positions: int, width: int, base: float = 10_000.0
) -> Float[Tensor, "positions half_width"]:
    """The angle m · base^(-2i / width) of position m on clock hand i: from fast hands to slow ones.

    Raises CourseError for an odd width. Vaswani et al. (2017), section 3.5, and Su et al. (2021),
    "RoFormer", section 3.2.2.
    """
    if width % 2:
        raise CourseError(
            f"positions go by pairs of numbers; a width of {width} is odd: make it even"
        )
    frequency = base ** -(torch.arange(0, width, 2) / width)
    return torch.outer(torch.arange(n_positions).float(), frequency)


class Rotary(nn.Module):
    """Say where a token stands by turning its queries and keys, pair by pair.

    Numbers (2i, 2i + 1) are one complex number; at position m it is multiplied by e^(i·angle). The
    product of a query at m and a key at n then depends on where they stand only through m - n.

    Su et al. (2021), "RoFormer: Enhanced Transformer with Rotary Position Embedding", section 3.2.
    Neighbours form a pair, as in the paper and in Meta's Llama; Hugging Face pairs i with
    i + d_head / 2, which is the same up to the order of the rows of the projections.
    """

    def __init__(self, d_head: int, n_positions: int, base: float = 10_000.0) -> None:
        super().__init__()
        angles = position_angles(n_positions, d_head, base)
        turns = torch.stack([angles.cos(), angles.sin()], dim=-1)[:, None]  # one for all heads
        self.register_buffer("turns", turns, persistent=False)  # (positions, 1, d_head / 2, 2)

    def forward(
        self, x: Float[Tensor, "batch tokens heads d_head"], start: int = 0
    ) -> Float[Tensor, "batch tokens heads d_head"]:
        """Turn the queries or keys of the tokens at positions start, start + 1, …"""
        wide = torch.promote_types(x.dtype, torch.float32)  # there are no complex bfloat16 numbers
        pairs = torch.view_as_complex(x.to(wide).unflatten(-1, (-1, 2)))
        turns = torch.view_as_complex(self.turns[start : start + x.size(1)].to(wide))
        return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


# ---------------------------------------------------------------------------------------------
# The layer
# ---------------------------------------------------------------------------------------------


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own small space; a matrix mixes their answers.

        head_i = attention(x W_i^Q, x W_i^K, x W_i^V),      output = concat(head_1 … head_h) W^O

    Vaswani et al. (2017), section 3.2.2. With fewer key/value heads than query heads, neighbouring
    query heads share one: grouped queries (Ainslie et al. 2023, "GQA"). `qk_norm` brings every
    query and key to mean 0 and variance 1, so that no score exceeds √d_head (Dehghani et al. 2023,
    "Scaling Vision Transformers to 22 Billion Parameters", section 2; here without gains).

    Raises CourseError when the heads do not divide d_model, or the key/value heads the heads.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        n_kv_heads: int | None = None,  # None: as many as n_heads
        *,
        causal: bool = False,  # no token looks at a later one
        bias: bool = False,
        qk_norm: bool = False,
        rotary: Rotary | None = None,
    ) -> None:
        super().__init__()
        n_kv_heads = n_kv_heads or n_heads
        if d_model % n_heads or n_heads % n_kv_heads:
            raise CourseError(
                f"{n_heads} heads must divide d_model = {d_model}, and {n_kv_heads} key/value "
                "heads must divide the heads; choose other numbers"
            )
        self.n_heads, self.n_kv_heads, self.d_head = n_heads, n_kv_heads, d_model // n_heads
        self.causal, self.qk_norm, self.rotary = causal, qk_norm, rotary
        # W^Q of all heads, below it W^K, below it W^V: one product instead of three
        self.qkv = nn.Linear(d_model, (n_heads + 2 * n_kv_heads) * self.d_head, bias=bias)
        self.out = nn.Linear(d_model, d_model, bias=bias)  # W^O

    def queries_keys_values(
        self, x: Float[Tensor, "batch tokens d_model"], start: int = 0
    ) -> tuple[
        Float[Tensor, "batch heads tokens d_head"],
        Float[Tensor, "batch kv_heads tokens d_head"],
        Float[Tensor, "batch kv_heads tokens d_head"],
    ]:
        """What each head asks, offers and says; queries and keys normalised and turned.

        The first token stands at position `start`.
        """
        qkv = self.qkv(x).unflatten(-1, (-1, self.d_head))  # (batch, tokens, all heads, d_head)
        qk, v = qkv.split([self.n_heads + self.n_kv_heads, self.n_kv_heads], dim=2)
        if self.qk_norm:
            qk = F.layer_norm(qk, (self.d_head,))
        if self.rotary is not None:
            qk = self.rotary(qk, start)
        q, k = qk.split([self.n_heads, self.n_kv_heads], dim=2)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        mask: Bool[Tensor, "#batch #tokens tokens"] | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """`mask` is True where a query may look at a key, and may come on top of causality.

        With a `cache` the tokens of `x` come after those in it, look at these too, and are added;
        this is for causal attention without a mask.
        """
        if cache is not None:
            return self.out(self.after_the_cached(x, cache))
        if mask is not None:
            if self.causal:
                mask = mask & causal_mask(x.size(1), x.device)
            mask = mask.unsqueeze(1)  # (batch, 1, tokens, tokens): the same for all heads
        q, k, v = self.queries_keys_values(x)
        if torch.is_autocast_enabled("cpu"):  # the CPU kernel's backward pass is slow in bfloat16
            q, k, v = q.float(), k.float(), v.float()
        with torch.autocast("cpu", enabled=False):
            heads = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask,
                is_causal=self.causal and mask is None,
                enable_gqa=self.n_kv_heads < self.n_heads,
            )  # (batch, heads, tokens, d_head)
        return self.out(heads.transpose(1, 2).flatten(2))  # (batch, tokens, heads · d_head)

    def after_the_cached(
        self, x: Float[Tensor, "batch new d_model"], cache: LayerCache
    ) -> Float[Tensor, "batch new d_model"]:
        """The heads' answers to tokens that come after those in the cache, side by side."""
        q, k, v = self.queries_keys_values(x, start=cache.length)
        keys, values = cache.append(k, v)
        new, old = x.size(1), cache.length - x.size(1)
        if new == 1:  # it may look at everything; the heads of a group are rows of one product
            q = q.reshape(len(q), self.n_kv_heads, -1, self.d_head)  # (batch, kv_heads, group, …)
            return F.scaled_dot_product_attention(q, keys, values).reshape(len(q), 1, -1)
        if old:  # new token i may look at the old ones and at new ones up to itself
            seen = torch.ones(new, cache.length, dtype=torch.bool, device=x.device).tril(old)
        heads = F.scaled_dot_product_attention(
            q,
            keys,
            values,
            attn_mask=seen if old else None,
            is_causal=not old,
            enable_gqa=self.n_kv_heads < self.n_heads,
        )
        return heads.transpose(1, 2).flatten(2)
