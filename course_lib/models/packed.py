"""Weights that stay in 4 bits: for writing one text at a time, which waits for memory.

Every token that a model writes takes all weights past the processor once. Left in the blocks in
which the file has them, they are a quarter of their size in bfloat16, and unpacked in registers.
`PackedLinear` is such a layer; `load_smollm2(torch.bfloat16, packed=True)` gives a model of them.

PyTorch's kernel computes w = (q − 8) · scale + zero in groups of 32, which is Q4_1's d · q + m with
scale = d and zero = m + 8 d. It works in bfloat16, one product for many rows is slower than with
unpacked weights, and there is no gradient: it is for generation only.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.gguf import BLOCK, GGUFTensor


class PackedLinear(nn.Module):
    """y = x Wᵀ in bfloat16, with W in blocks of 4-bit numbers, as `pack` gives them."""

    def __init__(self, q: Tensor, scale_and_zero: Tensor) -> None:
        super().__init__()
        self.register_buffer("q", q)
        self.register_buffer("scale_and_zero", scale_and_zero)

    def forward(self, x: Float[Tensor, "*batch columns"]) -> Float[Tensor, "*batch rows"]:
        product = torch.ops.aten._weight_int4pack_mm_for_cpu(
            x.reshape(-1, x.size(-1)), self.q, BLOCK, self.scale_and_zero
        )
        return product.view(*x.shape[:-1], -1)


def pack(tensors: list[GGUFTensor]) -> dict[str, Tensor]:
    """The buffers of a `PackedLinear`, of `tensors` of kind Q4_1 that lie one below the other in W.

    How q is laid out depends on torch and on the processor. Raises CourseError for other kinds.
    """
    if other := [t.name for t in tensors if t.kind.name != "Q4_1"]:
        raise CourseError(f"{other[0]} is not of kind Q4_1; unpack it instead")
    blocks = torch.cat([torch.from_numpy(t.blocks.copy()) for t in tensors])
    rows, columns = sum(t.shape[0] for t in tensors), tensors[0].shape[1]
    bytes_ = blocks[:, 4:].to(torch.int32)
    q = torch.cat([bytes_ & 15, bytes_ >> 4], dim=1).view(rows, columns)
    d, m = blocks[:, :4].contiguous().view(torch.float16).float().unbind(1)
    scale_and_zero = torch.stack([d, m + 8 * d], dim=1).view(rows, columns // BLOCK, 2)
    return {
        "q": torch.ops.aten._convert_weight_to_int4pack_for_cpu(q, 1),
        "scale_and_zero": scale_and_zero.transpose(0, 1).contiguous().bfloat16(),
    }
