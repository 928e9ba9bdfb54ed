"""LoRA: leave a pretrained matrix W as it is, and learn a small correction B A beside it.

W has d_out × d_in numbers, A has r × d_in and B has d_out × r, with a rank r of 4 to 16: about a
hundredth of the numbers. B starts at zero, so the model starts as it was. `add_lora` puts the
corrections into a model, `merge` adds them to the matrices, after which the model has its old shape
and speed.

Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.errors import CourseError

# Every matrix of a Bert's or GPT's blocks, by the last part of its name.
ALL_MATRICES = ("qkv", "out", "up", "down")


class LoRALinear(nn.Module):
    """W x + b + (alpha / r) · B A x, where only A and B learn."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float | int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        self.A = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))  # as nn.Linear starts

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One matrix, W + (alpha / r) · B A, that does the same; it learns again."""
        linear = nn.Linear(
            self.base.in_features,
            self.base.out_features,
            bias=self.base.bias is not None,
            device=self.base.weight.device,
            dtype=self.base.weight.dtype,
        )
        linear.weight.copy_(self.base.weight + self.scale * self.B @ self.A)
        if self.base.bias is not None:
            linear.bias.copy_(self.base.bias)
        return linear


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float | int = 16,
    targets: Sequence[str] = ALL_MATRICES,
) -> int:
    """Freeze the model, and put a LoRALinear around each linear layer named in `targets`.

    A layer is named by the last part of its name ("qkv" for "blocks.3.attention.qkv"). What is not
    part of `model`, such as a head on top of it, learns as before. Returns the number of layers.

    Raises CourseError for a rank below 1, where no layer has such a name, and for a model that has
    corrections already.
    """
    if rank < 1:
        raise CourseError(f"a correction of rank {rank} cannot learn; take 1 or more, say 8")
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise CourseError("this model has LoRA corrections already; merge them first")
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if name in targets and isinstance(layer, nn.Linear)
    ]
    if not found:
        raise CourseError(
            f"no linear layer of the model is called {' or '.join(targets)}; "
            "print(model) shows their names"
        )
    model.requires_grad_(False)
    for parent, name, layer in found:
        setattr(parent, name, LoRALinear(layer, rank, alpha))
    return len(found)


def merge(model: nn.Module) -> int:
    """Turn every LoRALinear in the model into one nn.Linear that does the same.

    Returns how many there were. Afterwards the whole model may learn again.
    """
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, LoRALinear)
    ]
    for parent, name, layer in found:
        setattr(parent, name, layer.merged())
    model.requires_grad_(True)
    return len(found)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that learn, each once: give these to the optimiser."""
    return [p for p in model.parameters() if p.requires_grad]


def n_trainable(model: nn.Module) -> int:
    """How many numbers of the model learn."""
    return sum(p.numel() for p in trainable(model))
