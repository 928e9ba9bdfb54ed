"""The Transformer's block: attention moves information between tokens, an MLP works on each alone.

Both read a normalised copy of the residual stream and add to it (pre-norm, `Block`); in the first
Transformer the sum was normalised instead (`PostNormBlock`). `MLP` is the two-layer
network of every position with the activations the field uses; `norm_layer` chooses LayerNorm or
RMSNorm; `sinusoidal_positions` is the table of the first paper. Rotary positions are part of
attention (attention.py); learned ones are an `nn.Embedding` in the model (gpt.py).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from course_lib.models.attention import MultiHeadAttention, position_angles
from course_lib.models.cache import LayerCache

NormKind = Literal["layer", "rms"]
MLPKind = Literal["gelu", "gelu_tanh", "relu", "relu2", "swiglu"]


def sinusoidal_positions(n_positions: int, d_model: int) -> Float[Tensor, "positions d_model"]:
    """PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i + 1) = cos of the same angle.

    Vaswani et al. (2017), section 3.5.
    """
    angles = position_angles(n_positions, d_model)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def norm_layer(kind: NormKind, width: int, eps: float = 1e-5, bias: bool = False) -> nn.Module:
    """Bring each token's vector to a standard size, then scale each number by a learned gain.

    "layer": mean 0 and variance 1 (Ba et al. 2016, "Layer Normalization"), with a learned shift if
    `bias`. "rms": mean square 1, no centring and no shift (Zhang & Sennrich 2019, "Root Mean Square
    Layer Normalization"). On CPUs PyTorch computes the first in one kernel, the second in several.
    """
    if kind == "rms":
        return nn.RMSNorm(width, eps)
    return nn.LayerNorm(width, eps, bias=bias)


class SquaredReLU(torch.autograd.Function):
    """max(0, x)², whose derivative is 2 · max(0, x).

    So et al. (2021), "Primer: Searching for Efficient Transformers for Language Modeling".
    `F.relu(x).square()` is the same; its backward pass goes over the memory four times, this once.
    """

    @staticmethod
    def forward(ctx, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        r = F.relu(x)
        ctx.save_for_backward(r)
        return r * r

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        (r,) = ctx.saved_tensors
        return torch.addcmul(grad.new_zeros(()), grad, r, value=2)  # 2 · grad · r in one kernel


def swiglu(x: Float[Tensor, "*batch twice_d_ff"]) -> Float[Tensor, "*batch d_ff"]:
    """SiLU(gate) · up, where `x` holds the gates first. Shazeer (2020), "GLU Variants"."""
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """GELU by the tanh formula of Hendrycks & Gimpel (2016), which GPT-2 used."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "relu": F.relu,
    "relu2": SquaredReLU.apply,
    "swiglu": swiglu,
}


class MLP(nn.Module):
    """activation(x W₁ + b₁) W₂ + b₂, for each token alone. Vaswani et al. (2017), equation 2."""

    def __init__(self, d_model: int, d_ff: int, kind: MLPKind = "gelu", bias: bool = False) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[kind]
        self.up = nn.Linear(d_model, 2 * d_ff if kind == "swiglu" else d_ff, bias=bias)
        self.down = nn.Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return self.down(self.activation(self.up(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the stream x itself is never normalised.

    Xiong et al. (2020), "On Layer Normalization in the Transformer Architecture", figure 1b.
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        mlp: nn.Module,
        attention_norm: nn.Module,
        mlp_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.mlp_norm, self.mlp = mlp_norm, mlp

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        mask: Bool[Tensor, "#batch #tokens tokens"] | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        """For `mask` and `cache` see `MultiHeadAttention.forward`."""
        x = x + self.attention(self.attention_norm(x), mask, cache)
        return x + self.mlp(self.mlp_norm(x))


class PostNormBlock(Block):
    """norm(x + attention(x)), then norm(x + mlp(x)): the order of the first Transformer.

    Vaswani et al. (2017), section 3.1; Xiong et al. (2020), figure 1a.
    """

    def forward(
        self,
        x: Float[Tensor, "batch tokens d_model"],
        mask: Bool[Tensor, "#batch #tokens tokens"] | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch tokens d_model"]:
        x = self.attention_norm(x + self.attention(x, mask, cache))
        return self.mlp_norm(x + self.mlp(x))
