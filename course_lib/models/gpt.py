"""GPT: a stack of causal Transformer blocks that guesses the next token at every position at once.

One class covers the family: GPT-2's shape (learned positions, LayerNorm, GELU, biases), Llama's
(rotary positions, RMSNorm, SwiGLU, grouped queries) and the small quick model of this course
(the defaults of `GPTConfig`). `GPT.from_hf` and `to_hf` carry weights from and to Hugging Face;
`save` and `load` keep a model in a folder as config.json and model.safetensors.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.attention import MultiHeadAttention, Rotary
from course_lib.models.cache import KVCache
from course_lib.models.folders import ModelInAFolder, check_sizes
from course_lib.models.transformer import (
    MLP,
    Block,
    MLPKind,
    NormKind,
    norm_layer,
    sinusoidal_positions,
)

PositionKind = Literal["rotary", "learned", "sinusoidal"]


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT, and how it starts. Raises CourseError for sizes that cannot be."""

    vocab_size: int  # symbols the model can read and write
    context: int = 128  # longest history it sees, in tokens
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int | None = None  # heads of keys and values, shared by groups (None: n_heads)
    d_model: int = 128  # width of the residual stream
    d_ff: int | None = None  # width inside the MLP (None: 4 · d_model)
    positions: PositionKind = "rotary"
    rotary_base: float = 10_000.0  # the slowest hand turns about once in 2π · base tokens
    token_shift: bool = True  # a token's vector begins with a learned share of the one before
    norm: NormKind = "layer"
    norm_eps: float = 1e-5  # keeps the norm of a zero vector finite
    qk_norm: bool = True  # bring queries and keys to one length
    mlp: MLPKind = "relu2"
    bias: bool = False  # biases in every projection and LayerNorm
    tied: bool = False  # the head reuses the embedding's matrix
    init_std: float = 0.02  # of every matrix at the start
    zero_init: bool = True  # what writes to the stream starts at zero: a block does nothing yet

    def __post_init__(self) -> None:
        sizes = ["vocab_size", "context", "n_layers", "n_heads", "d_model"]
        sizes += [name for name in ("n_kv_heads", "d_ff") if getattr(self, name) is not None]
        check_sizes(self, *sizes)
        for name, kind in [("positions", PositionKind), ("norm", NormKind), ("mlp", MLPKind)]:
            if getattr(self, name) not in get_args(kind):
                raise CourseError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(kind))}"
                )

    @property
    def d_head(self) -> int:
        """Width of one head's queries, keys and values."""
        return self.d_model // self.n_heads


class GPT(nn.Module, ModelInAFolder):
    """From tokens to the logits of each next token.

    Radford et al. (2019), "Language Models are Unsupervised Multitask Learners" (GPT-2); Touvron
    et al. (2023), "LLaMA". There is no dropout: training and evaluation compute the same.
    """

    config_class = GPTConfig

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = c = config
        d_ff = c.d_ff or 4 * c.d_model
        self.embedding = nn.Embedding(c.vocab_size, c.d_model)
        if c.token_shift:
            self.shift = nn.Parameter(torch.zeros(c.d_model))
        rotary = None
        if c.positions == "rotary":
            rotary = Rotary(c.d_head, c.context, c.rotary_base)
        elif c.positions == "learned":
            self.positions = nn.Embedding(c.context, c.d_model)
        else:
            table = sinusoidal_positions(c.context, c.d_model)
            self.register_buffer("sinusoids", table, persistent=False)

        def norm() -> nn.Module:
            return norm_layer(c.norm, c.d_model, c.norm_eps, c.bias)

        def attention() -> MultiHeadAttention:
            return MultiHeadAttention(
                c.d_model,
                c.n_heads,
                c.n_kv_heads,
                causal=True,
                bias=c.bias,
                qk_norm=c.qk_norm,
                rotary=rotary,
            )

        self.blocks = nn.ModuleList(
            Block(attention(), MLP(c.d_model, d_ff, c.mlp, c.bias), norm(), norm())
            for _ in range(c.n_layers)
        )
        self.norm = norm()
        self.head = nn.Linear(c.d_model, c.vocab_size, bias=False)
        if c.tied:
            self.head.weight = self.embedding.weight
        self.initialise()

    def forward(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocab"]:
        """Logits of the token after each of `tokens`, given that one and those before it.

        Raises CourseError when there are more tokens than the context holds.
        """
        return self.head(self.states(tokens))

    def states(
        self, tokens: Int[Tensor, "batch tokens"], cache: KVCache | None = None
    ) -> Float[Tensor, "batch tokens d_model"]:
        """What the head reads: the stream after the last norm, a vector a token.

        With a `cache` the tokens come after those that it has read, and are added to it.
        """
        start, n_tokens = (0 if cache is None else cache.length), tokens.size(1)
        if start + n_tokens > self.config.context:
            raise CourseError(
                f"{start + n_tokens} tokens do not fit in a context of {self.config.context}; "
                "give the model the last ones"
            )
        if cache is not None:
            cache.make_room(n_tokens)
        x = self.embedding(tokens)  # (batch, tokens, d_model)
        if self.config.token_shift:  # Peng et al. (2023), "RWKV": pairs are seen before attention
            before = F.pad(x[:, :-1], (0, 0, 1, 0))
            if cache is not None:
                if cache.last_embedding is not None:
                    before[:, :1] = cache.last_embedding
                cache.last_embedding = x[:, -1:]
            x = x + self.shift * before
        if self.config.positions == "learned":
            x = x + self.positions.weight[start : start + n_tokens]
        elif self.config.positions == "sinusoidal":  # Vaswani et al. (2017), section 3.4, for the √
            sinusoids = self.sinusoids[start : start + n_tokens]
            x = x * math.sqrt(self.config.d_model) + sinusoids
        for i, block in enumerate(self.blocks):
            x = block(x, cache=None if cache is None else cache.layers[i])
        return self.norm(x)

    # --- reading on from what was read before -------------------------------------------------

    def new_cache(self, capacity: int | None = None, batch: int = 1) -> KVCache:
        """An empty cache with room for `capacity` tokens (None: the context) of `batch` texts."""
        c, weight = self.config, self.embedding.weight
        return KVCache(
            c.n_layers,
            c.n_kv_heads or c.n_heads,
            c.d_head,
            capacity or c.context,
            batch,
            weight.dtype,
            weight.device,
        )

    def read(
        self, tokens: Int[Tensor, "batch tokens"], cache: KVCache
    ) -> Float[Tensor, "batch vocab"]:
        """Read tokens that come after those in the cache; the logits of the token after the last.

        The same as the last row of `forward` of the whole text, for the work of the new tokens.

        Raises CourseError when there are more tokens than the context or the cache holds.
        """
        return self.head(self.states(tokens, cache)[:, -1])

    def initialise(self) -> None:
        """Small random matrices, zero biases; what writes to the stream starts at zero or smaller.

        Without `zero_init`, GPT-2's rule: the 2 · n_layers matrices whose outputs add up in the
        stream start smaller by √(2 · n_layers), so that the sum does not grow with depth.
        """
        std = self.config.init_std
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        writes_std = 0.0 if self.config.zero_init else std / math.sqrt(2 * self.config.n_layers)
        for block in self.blocks:
            nn.init.normal_(block.attention.out.weight, std=writes_std)
            nn.init.normal_(block.mlp.down.weight, std=writes_std)

    # --- to and from Hugging Face -------------------------------------------------------------

    @classmethod
    def from_hf(cls, hf_model: nn.Module) -> "GPT":
        """A copy, in float32, of a `GPT2LMHeadModel` or `LlamaForCausalLM`, with equal logits.

        Raises CourseError for other models, and for settings that this class does not have.
        """
        model = cls(config_from_hf(hf_model))
        theirs, d_head = hf_model.state_dict(), model.config.d_head
        model.load_state_dict(
            {
                ours: torch.cat([to_our_layout(theirs[t], t, d_head) for t in names])
                for ours, names in model.hf_names().items()
            }
        )
        return model

    def to_hf(self) -> nn.Module:
        """The same model as Hugging Face's GPT-2 or Llama class, with equal logits.

        Raises CourseError when this model has neither shape.
        """
        hf_model = empty_hf_model(self.config)
        theirs, d_head = hf_model.state_dict(), self.config.d_head
        state = self.state_dict()
        for ours, names in self.hf_names().items():
            rows = [len(to_our_layout(theirs[t], t, d_head)) for t in names]
            for t, part in zip(names, state[ours].split(rows), strict=True):
                theirs[t].copy_(to_their_layout(part, t, d_head))  # writes into hf_model
        return hf_model.eval()

    def hf_names(self) -> dict[str, list[str]]:
        """Our name of each weight and bias → Hugging Face's names of the same numbers."""
        table = {"gpt2": GPT2_NAMES, "llama": LLAMA_NAMES}[hf_shape(self.config)]
        names = {}
        for ours in self.state_dict():
            module, kind = ours.rsplit(".", 1)  # "blocks.3.mlp.up", "weight"
            layer = "".join(re.findall(r"\d+", module))
            theirs = table[re.sub(r"\d+", "#", module)]
            names[ours] = [f"{t.replace('#', layer)}.{kind}" for t in theirs]
        return names


# ---------------------------------------------------------------------------------------------
# How Hugging Face names and lays out the same numbers
# ---------------------------------------------------------------------------------------------

# # is the number of the layer. Where they have several matrices, ours are one below the other.
GPT2_NAMES = {
    "embedding": ["transformer.wte"],
    "positions": ["transformer.wpe"],
    "blocks.#.attention_norm": ["transformer.h.#.ln_1"],
    "blocks.#.attention.qkv": ["transformer.h.#.attn.c_attn"],
    "blocks.#.attention.out": ["transformer.h.#.attn.c_proj"],
    "blocks.#.mlp_norm": ["transformer.h.#.ln_2"],
    "blocks.#.mlp.up": ["transformer.h.#.mlp.c_fc"],
    "blocks.#.mlp.down": ["transformer.h.#.mlp.c_proj"],
    "norm": ["transformer.ln_f"],
    "head": ["lm_head"],
}
LLAMA_NAMES = {
    "embedding": ["model.embed_tokens"],
    "blocks.#.attention_norm": ["model.layers.#.input_layernorm"],
    "blocks.#.attention.qkv": [f"model.layers.#.self_attn.{x}_proj" for x in "qkv"],
    "blocks.#.attention.out": ["model.layers.#.self_attn.o_proj"],
    "blocks.#.mlp_norm": ["model.layers.#.post_attention_layernorm"],
    "blocks.#.mlp.up": ["model.layers.#.mlp.gate_proj", "model.layers.#.mlp.up_proj"],
    "blocks.#.mlp.down": ["model.layers.#.mlp.down_proj"],
    "norm": ["model.norm"],
    "head": ["lm_head"],
}
GELU_NAMES = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}


def to_our_layout(tensor: Tensor, their_name: str, d_head: int) -> Tensor:
    """GPT-2 stores W for x W, we Wᵀ as nn.Linear does; for Llama's rotary pairs, see `Rotary`."""
    if ".c_" in their_name and tensor.dim() == 2:
        return tensor.T
    if "q_proj" in their_name or "k_proj" in their_name:  # rows (0, h), (1, h + 1), … → neighbours
        return tensor.unflatten(0, (-1, 2, d_head // 2)).transpose(1, 2).flatten(0, 2)
    return tensor


def to_their_layout(tensor: Tensor, their_name: str, d_head: int) -> Tensor:
    """The inverse of `to_our_layout`."""
    if ".c_" in their_name and tensor.dim() == 2:
        return tensor.T
    if "q_proj" in their_name or "k_proj" in their_name:
        return tensor.unflatten(0, (-1, d_head // 2, 2)).transpose(1, 2).flatten(0, 2)
    return tensor


def config_from_hf(hf_model: nn.Module) -> GPTConfig:
    """Our config of a Hugging Face language model; CourseError where we have no such thing."""
    c = hf_model.config
    if hf_model.get_output_embeddings() is None:
        raise CourseError(f"{type(hf_model).__name__} has no head; load it as a …LMHeadModel")
    if c.model_type == "gpt2":
        special = c.scale_attn_by_inverse_layer_idx or c.add_cross_attention
        if special or not c.scale_attn_weights or c.activation_function not in GELU_NAMES:
            raise CourseError("this GPT-2 has settings that GPT lacks; use GPT-2's usual ones")
        return GPTConfig(
            vocab_size=c.vocab_size,
            context=c.n_positions,
            n_layers=c.n_layer,
            n_heads=c.n_head,
            d_model=c.n_embd,
            d_ff=c.n_inner,
            positions="learned",
            norm="layer",
            norm_eps=c.layer_norm_epsilon,
            qk_norm=False,
            mlp=GELU_NAMES[c.activation_function],
            bias=True,
            tied=c.tie_word_embeddings,
            init_std=c.initializer_range,
            zero_init=False,
            token_shift=False,
        )
    if c.model_type == "llama":
        special = c.head_dim * c.num_attention_heads != c.hidden_size
        special = special or c.rope_parameters["rope_type"] != "default"
        if special or c.hidden_act != "silu" or c.attention_bias != c.mlp_bias:
            raise CourseError("this Llama has settings that GPT lacks; use Llama's usual ones")
        return GPTConfig(
            vocab_size=c.vocab_size,
            context=c.max_position_embeddings,
            n_layers=c.num_hidden_layers,
            n_heads=c.num_attention_heads,
            n_kv_heads=c.num_key_value_heads,
            d_model=c.hidden_size,
            d_ff=c.intermediate_size,
            positions="rotary",
            rotary_base=c.rope_parameters["rope_theta"],
            norm="rms",
            norm_eps=c.rms_norm_eps,
            qk_norm=False,
            mlp="swiglu",
            bias=c.mlp_bias,
            tied=c.tie_word_embeddings,
            init_std=c.initializer_range,
            zero_init=False,
            token_shift=False,
        )
    raise CourseError(f"a {c.model_type} is neither GPT-2- nor Llama-shaped; load one of those")


def hf_shape(c: GPTConfig) -> Literal["gpt2", "llama"]:
    """Which of Hugging Face's classes computes what this config does; CourseError if none."""
    parts, ours_alone = (c.positions, c.norm, c.mlp), c.qk_norm or c.token_shift
    if not ours_alone and parts == ("rotary", "rms", "swiglu"):
        return "llama"
    gpt2_parts = [("learned", "layer", mlp) for mlp in GELU_NAMES.values()]
    if not ours_alone and parts in gpt2_parts and c.bias and c.n_kv_heads in (None, c.n_heads):
        return "gpt2"
    raise CourseError(
        "Hugging Face has no class for this GPT; only GPT-2's and Llama's shapes can go there"
    )


def empty_hf_model(c: GPTConfig) -> nn.Module:
    """A Hugging Face model of the same shape, with weights still to be filled in."""
    import transformers

    shared = {
        "vocab_size": c.vocab_size,
        "tie_word_embeddings": c.tied,
        "initializer_range": c.init_std,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if hf_shape(c) == "gpt2":
        hf_config = transformers.GPT2Config(
            n_positions=c.context,
            n_layer=c.n_layers,
            n_head=c.n_heads,
            n_embd=c.d_model,
            n_inner=c.d_ff,
            layer_norm_epsilon=c.norm_eps,
            activation_function={"gelu_tanh": "gelu_new", "gelu": "gelu"}[c.mlp],
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **shared,
        )
        return transformers.GPT2LMHeadModel(hf_config)
    hf_config = transformers.LlamaConfig(
        max_position_embeddings=c.context,
        num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_kv_heads or c.n_heads,
        hidden_size=c.d_model,
        intermediate_size=c.d_ff or 4 * c.d_model,
        rope_parameters={"rope_type": "default", "rope_theta": c.rotary_base},
        rms_norm_eps=c.norm_eps,
        attention_bias=c.bias,
        mlp_bias=c.bias,
        **shared,
    )
    return transformers.LlamaForCausalLM(hf_config)
