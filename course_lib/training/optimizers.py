"""How gradients become steps: Muon for the matrices inside a model, AdamW for everything else.

A gradient matrix has a few large singular values and many small ones, so a plain step moves the
weights along few directions. Muon makes all singular values of the step about equal to one. That
suits matrices that map hidden vectors to hidden vectors; embeddings, the output head, norms and
biases are lists of vectors, and AdamW serves them.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer


def orthogonalise(
    matrices: Float[Tensor, "*batch rows columns"], steps: int = 5
) -> Float[Tensor, "*batch rows columns"]:
    """Bring every singular value near one (0.7 to 1.2) by Newton–Schulz iteration.

    Each pass maps a singular value s to 3.4445 s − 4.775 s³ + 2.0315 s⁵, in matrix products only.
    Works in the dtype it is given. Fastest when rows ≤ columns.

    Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.reshape(-1, *matrices.shape[-2:])
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # every singular value ≤ 1
    for _ in range(steps):
        gram = x @ x.mT  # (batch, rows, rows)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.reshape(matrices.shape)


class Muon(Optimizer):
    """Momentum, made orthogonal: W ← W − lr · √max(1, rows/columns) · orthogonalise(momentum).

    Matrices of one shape, lying or standing, go through Newton–Schulz as one stack. `dtype` is
    that of Newton–Schulz; None takes, at the first step, the fastest on this machine
    (`fastest_matmul_dtype`) and keeps it, in checkpoints too, so that a resumed run is the same.

    Jordan et al. (2024), as in `torch.optim.Muon`, which always works in bfloat16.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: str | None = None,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "dtype": dtype}
        super().__init__(params, defaults)
        if any(p.ndim != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon takes matrices only; give other parameters to AdamW")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            if params := [p for p in group["params"] if p.grad is not None]:
                group["dtype"] = group["dtype"] or fastest_matmul_dtype(params[0].device.type)
                self._step_group(params, group)

    def _step_group(self, params: list[Tensor], group: dict) -> None:
        momentum, lr = group["momentum"], group["lr"]
        grads = [p.grad for p in params]
        for p in params:
            self.state[p].setdefault("momentum", torch.zeros_like(p))
        buffers = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        directions = torch._foreach_lerp(grads, buffers, momentum)  # Nesterov's look ahead

        stacks = defaultdict(list)
        for p, direction in zip(params, directions, strict=True):
            wide = direction if p.size(0) <= p.size(1) else direction.mT
            stacks[wide.shape].append((p, wide))
        torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        for stack in stacks.values():
            wide = torch.stack([wide for _, wide in stack]).to(getattr(torch, group["dtype"]))
            for (p, _), update in zip(stack, orthogonalise(wide), strict=True):
                rows, columns = p.shape
                update = update if rows <= columns else update.mT
                p.add_(update, alpha=-lr * math.sqrt(max(1, rows / columns)))


@cache
def fastest_matmul_dtype(device: str = "cpu") -> str:
    """ "bfloat16" where its matrix products are faster than "float32", decided once a process.

    CPUs without bfloat16 instructions are many times slower in it, so a CPU is measured. Processes
    that train together decide together.
    """
    if device != "cpu":
        fast = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fast else "float32"
    matrices = torch.ones(2, 128, 256)
    seconds = {torch.float32: [], torch.bfloat16: []}
    for _ in range(4):  # in turn, so that a busy moment hits both; the best of each counts
        for dtype, times in seconds.items():
            x, start = matrices.to(dtype), time.perf_counter()
            torch.bmm(x, x.mT)
            times.append(time.perf_counter() - start)
    best = torch.tensor([min(times) for times in seconds.values()])
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(best)
    return "bfloat16" if best[1] < 0.9 * best[0] else "float32"


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The matrices inside the model, and all the rest.

    The rest are embeddings (and a head tied to one), norms, biases, and every layer whose name ends
    in "head". Parameters that need no gradient are in neither.
    """
    apart = set()
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) or name.endswith("head"):
            apart.update(module.parameters(recurse=True))
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim == 2 and p not in apart]
    inside = set(matrices)
    return matrices, [p for p in trained if p not in inside]


def muon_and_adamw(
    model: nn.Module,
    muon_lr: float = 0.02,
    adamw_lr: float = 3e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    muon_weight_decay: float = 0.0,
) -> list[Optimizer]:
    """Muon for the matrices inside the model, fused AdamW without decay for the rest."""
    matrices, rest = split_parameters(model)
    muon = Muon(matrices, lr=muon_lr, weight_decay=muon_weight_decay) if matrices else None
    adam = AdamW(rest, lr=adamw_lr, betas=betas, weight_decay=0.0, fused=True) if rest else None
    return [optimizer for optimizer in (muon, adam) if optimizer]


def adamw(
    model: nn.Module,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.1,
) -> AdamW:
    """Fused AdamW for the whole model, with weight decay on matrices and embeddings only.

    Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization", algorithm 2.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return AdamW([g for g in groups if g["params"]], lr=lr, betas=betas, fused=True)
