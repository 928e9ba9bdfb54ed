"""BERT: a stack of Transformer blocks that look both ways, and the two heads it is pretrained with.

`Bert` turns every token into a vector that knows the tokens on both sides; it predicts nothing.
`BertForPreTraining` adds `MLMHead`, which guesses hidden tokens, and `NSPHead`, which guesses
whether the second text followed the first. Blocks are those of the first Transformer (post-norm),
with GELU, biases and dropout. `from_hf` and `to_hf` carry weights from and to Hugging Face; `save`
and `load` keep a model in a folder as config.json and model.safetensors.

Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers for Language
Understanding".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.attention import MultiHeadAttention, scaled_dot_product_attention
from course_lib.models.folders import ModelInAFolder, check_sizes
from course_lib.models.transformer import ACTIVATIONS, MLP, MLPKind, PostNormBlock

Mask = Bool[Tensor, "batch tokens"] | Int[Tensor, "batch tokens"]


@dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT, and how it starts. Raises CourseError for sizes that cannot be."""

    vocab_size: int  # tokens it knows, special ones included
    context: int = 128  # longest input, [CLS] and [SEP] included
    n_segments: int = 2  # kinds of text it tells apart: first and second
    n_layers: int = 4
    n_heads: int = 4
    d_model: int = 128  # width of a token's vector
    d_ff: int | None = None  # width inside the MLPs (None: 4 · d_model)
    activation: MLPKind = "gelu"  # of the MLPs and the MLM head; or "gelu_tanh", "relu"
    dropout: float | int = 0.1  # share set to zero in training: embeddings, what blocks add
    attention_dropout: float | int = 0.1  # share of the attention weights set to zero in training
    norm_eps: float = 1e-12  # keeps the norm of a zero vector finite
    init_std: float = 0.02  # of every matrix at the start
    pooler: bool = True  # a layer on top of [CLS]; models without NSP need none

    def __post_init__(self) -> None:
        sizes = ["vocab_size", "context", "n_segments", "n_layers", "n_heads", "d_model"]
        check_sizes(self, *sizes, *(["d_ff"] if self.d_ff is not None else []))
        if self.activation not in ("gelu", "gelu_tanh", "relu"):
            raise CourseError(
                f"activation is {self.activation!r}; choose one of gelu, gelu_tanh, relu"
            )
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise CourseError(f"{name} is a share; choose one from 0 to below 1")


class BertOutput(NamedTuple):
    """What `Bert` makes of a batch."""

    last_hidden_state: Float[Tensor, "batch tokens d_model"]
    pooler_output: Float[Tensor, "batch d_model"] | None  # None for a BERT without pooler
    hidden_states: tuple[Float[Tensor, "batch tokens d_model"], ...]  # embeddings, then each layer


class PreTrainingOutput(NamedTuple):
    """What `BertForPreTraining` makes of a batch."""

    mlm_logits: Float[Tensor, "*positions vocab"]  # of every token, or of those asked for
    nsp_logits: Float[
        Tensor, "batch 2"
    ]  # class 0: the second text followed the first; 1: it did not
    encoded: BertOutput


# ---------------------------------------------------------------------------------------------
# The parts
# ---------------------------------------------------------------------------------------------


class BertEmbeddings(nn.Module):
    """What the token is, where it stands, to which text it belongs: three vectors, added."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        c = config
        self.tokens = nn.Embedding(c.vocab_size, c.d_model)
        self.positions = nn.Embedding(c.context, c.d_model)
        self.segments = nn.Embedding(c.n_segments, c.d_model)
        self.norm = nn.LayerNorm(c.d_model, c.norm_eps)
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self, ids: Int[Tensor, "batch tokens"], segments: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens d_model"]:
        x = self.tokens(ids) + self.positions.weight[: ids.size(1)] + self.segments(segments)
        return self.dropout(self.norm(x))


class BertAttention(MultiHeadAttention):
    """Attention both ways, with biases; in training it forgets some of the weights."""

    def __init__(self, d_model: int, n_heads: int, dropout: float | int) -> None:
        super().__init__(d_model, n_heads, bias=True)
        self.dropout = dropout

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        mask: Bool[Tensor, "#batch #tokens tokens"] | None = None,
        cache: None = None,  # nothing is written token by token
    ) -> Float[Tensor, "batch tokens d_model"]:
        """`mask` is True where a query may look at a key."""
        if not (self.training and self.dropout):
            return super().forward(x, mask)
        q, k, v = self.queries_keys_values(x)
        mask = None if mask is None else mask.unsqueeze(1)  # the same for all heads
        heads = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=self.dropout)
        return self.out(heads.transpose(1, 2).flatten(2))  # (batch, tokens, heads · d_head)


class BertBlock(PostNormBlock):
    """norm(x + dropout(attention(x))), then norm(x + dropout(mlp(x)))."""

    def __init__(self, config: BertConfig) -> None:
        c = config
        super().__init__(
            BertAttention(c.d_model, c.n_heads, c.attention_dropout),
            MLP(c.d_model, c.d_ff or 4 * c.d_model, c.activation, bias=True),
            nn.LayerNorm(c.d_model, c.norm_eps),
            nn.LayerNorm(c.d_model, c.norm_eps),
        )
        self.dropout = nn.Dropout(c.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        mask: Bool[Tensor, "#batch #tokens tokens"] | None = None,
        cache: None = None,  # nothing is written token by token
    ) -> Float[Tensor, "batch tokens d_model"]:
        """`mask` is True where a query may look at a key."""
        x = self.attention_norm(x + self.dropout(self.attention(x, mask)))
        return self.mlp_norm(x + self.dropout(self.mlp(x)))


class Pooler(nn.Module):
    """tanh(W x + b) of the vector of [CLS]: one vector for the whole input."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)

    def forward(
        self, states: Float[Tensor, "batch tokens d_model"]
    ) -> Float[Tensor, "batch d_model"]:
        return torch.tanh(self.dense(states[:, 0]))


class MLMHead(nn.Module):
    """From a token's vector to the logits of the token that stood there.

    A layer with the model's activation and a norm, then the token embeddings once more, as columns
    of the output matrix (Press & Wolf 2017), and a bias for each token of the vocabulary.
    """

    def __init__(self, config: BertConfig, embeddings: nn.Embedding) -> None:
        super().__init__()
        c = config
        self.dense = nn.Linear(c.d_model, c.d_model)
        self.activation = ACTIVATIONS[c.activation]
        self.norm = nn.LayerNorm(c.d_model, c.norm_eps)
        self.decoder = nn.Linear(c.d_model, c.vocab_size)
        self.decoder.weight = embeddings.weight

    def forward(
        self, states: Float[Tensor, "*positions d_model"]
    ) -> Float[Tensor, "*positions vocab"]:
        return self.decoder(self.norm(self.activation(self.dense(states))))


class NSPHead(nn.Linear):
    """From the pooled vector to two logits: the second text followed the first (0), or not (1)."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model, 2)


# ---------------------------------------------------------------------------------------------
# The models
# ---------------------------------------------------------------------------------------------


class Bert(nn.Module, ModelInAFolder):
    """From tokens to vectors, one a token, each with a view of the whole input.

    What the heads of layer i ask, offer and say (for distillation, MiniLM-style) is
    `bert.blocks[i].attention.queries_keys_values(output.hidden_states[i])`.
    """

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.blocks = nn.ModuleList(BertBlock(config) for _ in range(config.n_layers))
        self.pooler = Pooler(config.d_model) if config.pooler else None
        initialise(self, config.init_std)

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        segments: Int[Tensor, "batch tokens"] | None = None,  # None: all are of the first text
        attention_mask: Mask | None = None,  # True or 1 where there is a token, not padding
    ) -> BertOutput:
        """The vectors after every layer, and the pooled vector of [CLS], the first token.

        What stands at padding is meaningless, and changes nothing elsewhere.

        Raises CourseError when the input is longer than the context.
        """
        if ids.size(1) > self.config.context:
            raise CourseError(
                f"{ids.size(1)} tokens do not fit in a context of {self.config.context}; cut the "
                "texts, for instance by encoder_inputs(…, max_tokens=…)"
            )
        segments = torch.zeros_like(ids) if segments is None else segments
        mask = None if attention_mask is None else attention_mask.bool().unsqueeze(1)
        states = [self.embeddings(ids, segments)]
        for block in self.blocks:
            states.append(block(states[-1], mask))
        pooled = self.pooler(states[-1]) if self.pooler else None
        return BertOutput(states[-1], pooled, tuple(states))

    def attention_weights(
        self,
        hidden_states: Sequence[Float[Tensor, "batch tokens d_model"]],
        attention_mask: Mask | None = None,
    ) -> Float[Tensor, "batch layers heads queries keys"]:
        """Where every head looked, from the `hidden_states` of a `BertOutput`; rows sum to one."""
        mask, n_tokens = None, hidden_states[0].size(1)
        if attention_mask is not None:  # (batch, 1, queries, keys): the same for all heads
            mask = attention_mask.bool()[:, None, None].expand(-1, 1, n_tokens, -1)
        layers = []
        for block, x in zip(self.blocks, hidden_states, strict=False):  # the last is no input
            q, k, v = block.attention.queries_keys_values(x)
            layers.append(scaled_dot_product_attention(q, k, v, mask)[1])
        return torch.stack(layers, dim=1)

    # --- to and from Hugging Face -------------------------------------------------------------

    @classmethod
    def from_hf(cls, hf_model: nn.Module) -> "Bert":
        """A copy, in float32, of a `BertModel`, or of the one inside a Hugging Face model with
        heads; the heads stay behind.

        Raises CourseError for other models, and for settings that this class does not have.
        """
        base = getattr(hf_model, "bert", hf_model)
        config = config_from_hf(hf_model.config.to_dict(), base.state_dict())
        model = cls(config)
        model.load_state_dict(our_weights(model, base.state_dict()))
        return model.eval()

    def to_hf(self) -> nn.Module:
        """The same model as Hugging Face's `BertModel`."""
        import transformers

        hf_model = transformers.BertModel(
            _hf_config(self.config), add_pooling_layer=self.config.pooler
        )
        return _fill(hf_model, self)


class BertForPreTraining(nn.Module, ModelInAFolder):
    """A `Bert` with the two heads it learns with."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if not config.pooler:
            raise CourseError("next-sentence prediction reads the pooled vector; set pooler=True")
        self.config = config
        self.bert = Bert(config)
        self.mlm_head = MLMHead(config, self.bert.embeddings.tokens)
        self.nsp_head = NSPHead(config.d_model)
        initialise(self, config.init_std)

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        segments: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Mask | None = None,
        positions: Bool[Tensor, "batch tokens"] | None = None,
    ) -> PreTrainingOutput:
        """Logits of both tasks; the MLM's of every token, (batch, tokens, vocab).

        With `positions` only of those where it is True, in reading order, (positions, vocab): the
        product with the vocabulary is the dearest of a small model, and six of seven tokens are
        not asked for.

        Raises CourseError when the input is longer than the context.
        """
        encoded = self.bert(ids, segments, attention_mask)
        states = encoded.last_hidden_state
        states = states if positions is None else states[positions]
        return PreTrainingOutput(
            self.mlm_head(states), self.nsp_head(encoded.pooler_output), encoded
        )

    # --- to and from Hugging Face -------------------------------------------------------------

    @classmethod
    def from_hf(cls, hf_model: nn.Module) -> "BertForPreTraining":
        """A copy, in float32, of Hugging Face's `BertForPreTraining`.

        Raises CourseError for other models, and for settings that this class does not have.
        """
        theirs = hf_model.state_dict()
        if "cls.seq_relationship.weight" not in theirs:
            raise CourseError(
                f"{type(hf_model).__name__} lacks one of the two heads; load a BertForPreTraining, "
                "or the encoder alone by Bert.from_hf"
            )
        model = cls(config_from_hf(hf_model.config.to_dict(), theirs))
        model.load_state_dict(our_weights(model, theirs))
        return model.eval()

    def to_hf(self) -> nn.Module:
        """The same model as Hugging Face's `BertForPreTraining`."""
        import transformers

        return _fill(transformers.BertForPreTraining(_hf_config(self.config)), self)


def initialise(model: nn.Module, std: float) -> None:
    """Small random matrices and embeddings, zero biases, as BERT's; norms stay at gain 1."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


# ---------------------------------------------------------------------------------------------
# How Hugging Face names the same numbers
# ---------------------------------------------------------------------------------------------

# # is the number of the layer. Where they have several matrices, ours are one below the other.
HF_NAMES = {
    "embeddings.tokens": ["embeddings.word_embeddings"],
    "embeddings.positions": ["embeddings.position_embeddings"],
    "embeddings.segments": ["embeddings.token_type_embeddings"],
    "embeddings.norm": ["embeddings.LayerNorm"],
    "blocks.#.attention.qkv": [
        f"encoder.layer.#.attention.self.{x}" for x in ("query", "key", "value")
    ],
    "blocks.#.attention.out": ["encoder.layer.#.attention.output.dense"],
    "blocks.#.attention_norm": ["encoder.layer.#.attention.output.LayerNorm"],
    "blocks.#.mlp.up": ["encoder.layer.#.intermediate.dense"],
    "blocks.#.mlp.down": ["encoder.layer.#.output.dense"],
    "blocks.#.mlp_norm": ["encoder.layer.#.output.LayerNorm"],
    "pooler.dense": ["pooler.dense"],
}
HF_HEAD_NAMES = {
    "mlm_head.dense": ["cls.predictions.transform.dense"],
    "mlm_head.norm": ["cls.predictions.transform.LayerNorm"],
    "mlm_head.decoder": ["cls.predictions.decoder"],
    "nsp_head": ["cls.seq_relationship"],
}
HF_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


def hf_names(name: str) -> list[str]:
    """Our name of a weight or bias → Hugging Face's names of the same numbers, top to bottom.

    >>> hf_names("bert.blocks.3.mlp.up.weight")
    ['bert.encoder.layer.3.intermediate.dense.weight']
    """
    module, kind = name.rsplit(".", 1)
    if module in HF_HEAD_NAMES:
        return [f"{theirs}.{kind}" for theirs in HF_HEAD_NAMES[module]]
    prefix = "bert." if module.startswith("bert.") else ""
    module = module.removeprefix(prefix)
    layer = "".join(re.findall(r"\d+", module))
    theirs = HF_NAMES[re.sub(r"\d+", "#", module)]
    return [f"{prefix}{t.replace('#', layer)}.{kind}" for t in theirs]


def our_weights(model: nn.Module, theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of `model` from Hugging Face's tensors, in float32.

    Raises CourseError where one is missing or of another shape.
    """
    state = {}
    for ours, tensor in model.state_dict().items():
        names = hf_names(ours)
        if missing := [name for name in names if name not in theirs]:
            raise CourseError(
                f"there is no {missing[0]} among the weights; this is no BERT of ours"
            )
        state[ours] = torch.cat([theirs[name].float() for name in names])
        if state[ours].shape != tensor.shape:
            raise CourseError(
                f"{names[0]} has the shape {tuple(theirs[names[0]].shape)}, which is not what the "
                "config says; get the model again"
            )
    return state


def config_from_hf(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> BertConfig:
    """Our config from the contents of a Hugging Face config.json, and whether there is a pooler.

    Raises CourseError for another architecture and for settings that our class lacks.
    """
    s = settings
    if s.get("model_type") != "bert":
        raise CourseError(f"a {s.get('model_type')} is not a BERT; load one of that architecture")
    special = s.get("is_decoder") or s.get("add_cross_attention")
    special = special or s.get("position_embedding_type", "absolute") != "absolute"
    if special or s["hidden_act"] not in HF_ACTIVATIONS or not s.get("tie_word_embeddings", True):
        raise CourseError("this BERT has settings that Bert lacks; use BERT's usual ones")
    return BertConfig(
        vocab_size=s["vocab_size"],
        context=s["max_position_embeddings"],
        n_segments=s["type_vocab_size"],
        n_layers=s["num_hidden_layers"],
        n_heads=s["num_attention_heads"],
        d_model=s["hidden_size"],
        d_ff=s["intermediate_size"],
        activation=HF_ACTIVATIONS[s["hidden_act"]],
        dropout=s["hidden_dropout_prob"],
        attention_dropout=s["attention_probs_dropout_prob"],
        norm_eps=s["layer_norm_eps"],
        init_std=s["initializer_range"],
        pooler=any(name.endswith("pooler.dense.weight") for name in weights),
    )


def _hf_config(c: BertConfig) -> Any:
    import transformers

    return transformers.BertConfig(
        vocab_size=c.vocab_size,
        max_position_embeddings=c.context,
        type_vocab_size=c.n_segments,
        num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads,
        hidden_size=c.d_model,
        intermediate_size=c.d_ff or 4 * c.d_model,
        hidden_act={"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu"}[c.activation],
        hidden_dropout_prob=c.dropout,
        attention_probs_dropout_prob=c.attention_dropout,
        layer_norm_eps=c.norm_eps,
        initializer_range=c.init_std,
    )


def _fill(hf_model: nn.Module, ours: nn.Module) -> nn.Module:
    """Write our weights into a Hugging Face model of the same shape."""
    theirs = hf_model.state_dict()
    for name, tensor in ours.state_dict().items():
        names = hf_names(name)
        rows = [len(theirs[t]) for t in names]
        for t, part in zip(names, tensor.split(rows), strict=True):
            theirs[t].copy_(part)  # writes into hf_model
    return hf_model.eval()
