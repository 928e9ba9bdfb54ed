"""The memory of a model that writes: keys and values of every token it has read, computed once.

A causal model's keys and values of a token depend on the tokens before it and on nothing after it,
so what was computed for a prompt stays right while the text grows. With a cache the model reads
only what is new: `model.read(tokens, cache)`.

Letters: d_head is the width of a key or value; n_kv_heads how many of them a layer has a token.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.errors import CourseError


class LayerCache:
    """Keys and values of one layer, in memory set aside once: nothing is copied as they grow."""

    def __init__(
        self,
        batch: int,
        n_kv_heads: int,
        capacity: int,
        d_head: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (batch, n_kv_heads, capacity, d_head)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0  # tokens that are in it

    def append(
        self,
        keys: Float[Tensor, "batch kv_heads new d_head"],
        values: Float[Tensor, "batch kv_heads new d_head"],
    ) -> tuple[
        Float[Tensor, "batch kv_heads tokens d_head"], Float[Tensor, "batch kv_heads tokens d_head"]
    ]:
        """Put the new tokens' keys and values behind the old ones; all of them come back."""
        start, self.length = self.length, self.length + keys.size(2)
        self.keys[:, :, start : self.length] = keys
        self.values[:, :, start : self.length] = values
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]


class KVCache:
    """What a GPT keeps of the tokens it has read: a `LayerCache` for each layer.

    `GPT.new_cache` makes one that fits. Each entry costs 2 · n_layers · n_kv_heads · d_head numbers
    a token and text (the 2: keys and values). Shazeer (2019), "Fast Transformer Decoding: One
    Write-Head is All You Need", on why few heads help.
    """

    def __init__(
        self,
        n_layers: int,
        n_kv_heads: int,
        d_head: int,
        capacity: int,  # tokens that it has room for
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.capacity = capacity
        self.layers = [
            LayerCache(batch, n_kv_heads, capacity, d_head, dtype, device) for _ in range(n_layers)
        ]
        self.last_embedding: Float[Tensor, "batch 1 d_model"] | None = None  # for token_shift

    @property
    def length(self) -> int:
        """How many tokens were read."""
        return self.layers[0].length

    @property
    def n_bytes(self) -> int:
        """The memory of all keys and values, used or set aside."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)

    def make_room(self, n_tokens: int) -> None:
        """Raise CourseError unless so many more tokens fit."""
        if self.length + n_tokens > self.capacity:
            raise CourseError(
                f"{self.length} + {n_tokens} tokens do not fit in a cache of {self.capacity}; "
                "start a new one with the last tokens of the text"
            )

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Text i goes on from what text rows[i] had read: beams are dropped and doubled so."""
        for layer in self.layers:
            layer.keys, layer.values = layer.keys[rows], layer.values[rows]
        if self.last_embedding is not None:
            self.last_embedding = self.last_embedding[rows]
