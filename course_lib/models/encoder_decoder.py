"""The encoder–decoder Transformer: one stack reads a sentence, another writes its translation.

The encoder's blocks look both ways over the source. The decoder's blocks look back over what was
written so far, then across at the encoder's output: `CrossAttention`, where the queries come from
one sentence and the keys and values from the other. Blocks are pre-norm and otherwise those of the
first paper: sinusoidal positions, ReLU inside the MLPs.

Tokens 0, 1 and 2 of either side are PAD, START and END. A source is its tokens and END; a target is
START, its tokens and END; behind END there may be PAD, which nobody looks at.

Vaswani et al. (2017), "Attention Is All You Need".
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.attention import MultiHeadAttention, padding_mask
from course_lib.models.folders import ModelInAFolder, check_sizes
from course_lib.models.transformer import MLP, Block, MLPKind, norm_layer, sinusoidal_positions

PAD, START, END = 0, 1, 2
SPECIAL = 3  # how many numbers are taken by these


class CrossAttention(nn.Module):
    """Queries from the sentence that is being written, keys and values from the one that was read.

    Otherwise as `MultiHeadAttention`. Vaswani et al. (2017), section 3.2.3, first point.
    """

    def __init__(self, d_model: int, n_heads: int, *, bias: bool = False) -> None:
        super().__init__()
        if d_model % n_heads:
            raise CourseError(f"{n_heads} heads must divide d_model = {d_model}")
        self.d_head = d_model // n_heads
        self.q = nn.Linear(d_model, d_model, bias=bias)
        self.kv = nn.Linear(d_model, 2 * d_model, bias=bias)  # W^K of all heads, below it W^V
        self.out = nn.Linear(d_model, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "batch targets d_model"],
        memory: Float[Tensor, "batch sources d_model"],
        mask: Bool[Tensor, "#batch #targets sources"] | None = None,
    ) -> Float[Tensor, "batch targets d_model"]:
        """What each target token finds in the source; `mask` is True where it may look."""
        q, k, v = self._queries_keys_values(x, memory)
        mask = None if mask is None else mask.unsqueeze(1)  # the same for all heads
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(heads.transpose(1, 2).flatten(2))  # (batch, targets, heads · d_head)

    def weights(
        self,
        x: Float[Tensor, "batch targets d_model"],
        memory: Float[Tensor, "batch sources d_model"],
        mask: Bool[Tensor, "#batch #targets sources"] | None = None,
    ) -> Float[Tensor, "batch heads targets sources"]:
        """Where each target token looks, head by head; rows sum to one. For pictures."""
        q, k, _ = self._queries_keys_values(x, memory)
        scores = q @ k.mT / math.sqrt(self.d_head)
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
        return scores.softmax(dim=-1)

    def _queries_keys_values(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each (batch, heads, tokens, d_head)."""
        q = self.q(x).unflatten(-1, (-1, self.d_head)).transpose(1, 2)
        k, v = self.kv(memory).unflatten(-1, (-1, self.d_head)).transpose(1, 2).chunk(2, dim=1)
        return q, k, v


class DecoderBlock(nn.Module):
    """Look back at what was written, look across at the source, think: each added to the stream."""

    def __init__(
        self,
        attention: MultiHeadAttention,
        cross_attention: CrossAttention,
        mlp: nn.Module,
        attention_norm: nn.Module,
        cross_norm: nn.Module,
        mlp_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.cross_norm, self.cross_attention = cross_norm, cross_attention
        self.mlp_norm, self.mlp = mlp_norm, mlp

    def forward(
        self,
        x: Float[Tensor, "batch targets d_model"],
        memory: Float[Tensor, "batch sources d_model"],
        memory_mask: Bool[Tensor, "batch 1 sources"] | None = None,
    ) -> Float[Tensor, "batch targets d_model"]:
        x = x + self.attention(self.attention_norm(x))
        x = x + self.cross_attention(self.cross_norm(x), memory, memory_mask)
        return x + self.mlp(self.mlp_norm(x))


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """The shape of an encoder–decoder. Raises CourseError for sizes that cannot be."""

    source_vocab: int  # tokens of the language that is read, PAD, START and END among them
    target_vocab: int  # of the language that is written
    context: int = 64  # longest sentence on either side, in tokens
    n_layers: int = 2  # blocks of the encoder, and as many of the decoder
    n_heads: int = 4
    d_model: int = 128
    d_ff: int | None = None  # width inside the MLPs (None: 4 · d_model)
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    mlp: MLPKind = "relu"
    bias: bool = False
    shared: bool = False  # one vocabulary and one table of vectors for both sides
    dropout: float = 0.0  # share of the numbers set to zero in training, after embedding and MLPs

    def __post_init__(self) -> None:
        sizes = ["source_vocab", "target_vocab", "context", "n_layers", "n_heads", "d_model"]
        check_sizes(self, *sizes, *(["d_ff"] if self.d_ff is not None else []))
        for name, kinds in [("positions", ("sinusoidal", "learned")), ("mlp", get_args(MLPKind))]:
            if getattr(self, name) not in kinds:
                raise CourseError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(kinds)}"
                )
        if self.shared and self.source_vocab != self.target_vocab:
            raise CourseError("a shared vocabulary has one size; give both sides the same")


class EncoderDecoder(nn.Module, ModelInAFolder):
    """From a source and the beginning of a target to the logits of each next target token."""

    config_class = EncoderDecoderConfig

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = c = config
        self.target_embedding = nn.Embedding(c.target_vocab, c.d_model)
        self.source_embedding = (
            self.target_embedding if c.shared else nn.Embedding(c.source_vocab, c.d_model)
        )
        if c.positions == "learned":
            self.source_positions = nn.Embedding(c.context, c.d_model)
            self.target_positions = nn.Embedding(c.context, c.d_model)
        else:
            table = sinusoidal_positions(c.context, c.d_model)
            self.register_buffer("sinusoids", table, persistent=False)
        self.dropout = nn.Dropout(c.dropout)

        def norm() -> nn.Module:
            return norm_layer("layer", c.d_model, bias=c.bias)

        def attention(causal: bool) -> MultiHeadAttention:
            return MultiHeadAttention(c.d_model, c.n_heads, causal=causal, bias=c.bias)

        def mlp() -> nn.Module:
            layers = MLP(c.d_model, c.d_ff or 4 * c.d_model, c.mlp, c.bias)
            return nn.Sequential(layers, nn.Dropout(c.dropout)) if c.dropout else layers

        def decoder_block() -> DecoderBlock:
            cross = CrossAttention(c.d_model, c.n_heads, bias=c.bias)
            return DecoderBlock(attention(True), cross, mlp(), norm(), norm(), norm())

        self.encoder = nn.ModuleList(
            Block(attention(False), mlp(), norm(), norm()) for _ in range(c.n_layers)
        )
        self.decoder = nn.ModuleList(decoder_block() for _ in range(c.n_layers))
        self.encoder_norm, self.decoder_norm = norm(), norm()
        self.head = nn.Linear(c.d_model, c.target_vocab, bias=False)
        self.head.weight = self.target_embedding.weight  # section 3.4: one matrix for both
        self.initialise()

    def forward(
        self, source: Int[Tensor, "batch sources"], target: Int[Tensor, "batch targets"]
    ) -> Float[Tensor, "batch targets vocab"]:
        """Logits of the token after each of `target`, given that one, those before it, and all of
        `source`.

        Raises CourseError when one of them is longer than the context.
        """
        return self.decode(target, *self.encode(source))

    def encode(
        self, source: Int[Tensor, "batch sources"]
    ) -> tuple[Float[Tensor, "batch sources d_model"], Bool[Tensor, "batch 1 sources"]]:
        """The source as the decoder sees it, and where it is no padding. Once for a translation."""
        mask = padding_mask((source != PAD).sum(1), source.size(1))
        x = self._embed(source, "source")
        for block in self.encoder:
            x = block(x, mask)
        return self.encoder_norm(x), mask

    def decode(
        self,
        target: Int[Tensor, "batch targets"],
        memory: Float[Tensor, "batch sources d_model"],
        memory_mask: Bool[Tensor, "batch 1 sources"],
    ) -> Float[Tensor, "batch targets vocab"]:
        """Logits after each target token. PAD behind END needs no mask: nothing looks ahead."""
        x = self._embed(target, "target")
        for block in self.decoder:
            x = block(x, memory, memory_mask)
        return self.head(self.decoder_norm(x))

    @torch.no_grad()
    def alignment(
        self, source: Int[Tensor, "batch sources"], target: Int[Tensor, "batch targets"]
    ) -> Float[Tensor, "batch layers heads targets sources"]:
        """Where each target token looked in the source before the next one was written."""
        memory, mask = self.encode(source)
        x, layers = self._embed(target, "target"), []
        for block in self.decoder:
            after_attention = x + block.attention(block.attention_norm(x))
            crossed = block.cross_norm(after_attention)
            layers.append(block.cross_attention.weights(crossed, memory, mask))
            x = block(x, memory, mask)
        return torch.stack(layers, dim=1)

    def _embed(self, tokens: Int[Tensor, "batch tokens"], side: str) -> Tensor:
        n_tokens = tokens.size(1)
        if n_tokens > self.config.context:
            raise CourseError(
                f"a {side} of {n_tokens} tokens does not fit in a context of "
                f"{self.config.context}; shorten it or make the model with a larger context"
            )
        x = self.get_submodule(f"{side}_embedding")(tokens) * math.sqrt(self.config.d_model)
        if self.config.positions == "learned":
            x = x + self.get_submodule(f"{side}_positions").weight[:n_tokens]
        else:
            x = x + self.sinusoids[:n_tokens]
        return self.dropout(x)  # (batch, tokens, d_model)

    def initialise(self) -> None:
        """Token vectors of length about 1 after the factor √d_model; matrices as Glorot & Bengio.

        Learned positions start about as long. Biases start at zero.
        """
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding):
                std = 1.0 if "positions" in name else self.config.d_model**-0.5
                nn.init.normal_(module.weight, std=std)
            elif isinstance(module, nn.Linear) and name != "head":
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
