"""Many small networks that learn side by side: ten seeds for little more than the time of one.

A comparison needs seeds, and a small network leaves a processor idle. `SideBySide` holds n
networks of one shape in one stack of matrices; `learn` trains them together. Each network's loss
depends on its own weights alone, and AdamW looks at one weight at a time: so each of them learns
exactly as it would alone.

    students = SideBySide(10, [64, 16, 10])
    learn(students, x, lambda z, done: soft_loss(z, teacher_z.expand_as(z), temperature=4))
    right_or_wrong(students, test.x, test.y)                        # (10, 547): for compare()
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.training.loop import train
from course_lib.training.schedules import trapezoid

# (logits of all networks, share of the training that is done) → the mean loss over all networks
Loss = Callable[[Float[Tensor, "networks rows classes"], float], Float[Tensor, ""]]


class SideBySide(nn.Module):
    """n networks d_in → hidden layers of ReLUs → classes; network i starts from seed + i."""

    def __init__(
        self, n: int, sizes: Sequence[int], seed: int = 0, dropout: float | int = 0.0
    ) -> None:
        super().__init__()
        self.n, self.dropout = n, dropout
        generators = [torch.Generator().manual_seed(seed + i) for i in range(n)]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for d_in, d_out in itertools.pairwise(sizes):
            W = torch.stack([torch.rand(d_in, d_out, generator=g) for g in generators])
            self.weights.append(nn.Parameter((2 * W - 1) * math.sqrt(3 / d_in)))  # variance 1/d_in
            self.biases.append(nn.Parameter(torch.zeros(n, 1, d_out)))

    def forward(
        self, x: Float[Tensor, "*networks rows d_in"]
    ) -> Float[Tensor, "networks rows classes"]:
        """Logits of every network: for the same rows, or for rows of its own where x has three
        axes."""
        x = x.expand(self.n, -1, -1)
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i:
                x = F.dropout(F.relu(x), self.dropout, self.training)
            x = torch.baddbmm(b, x, W)  # (networks, rows, d_out)
        return x

    @property
    def n_parameters(self) -> int:
        """Weights and biases of one of the networks."""
        return sum(p.numel() for p in self.parameters()) // self.n


def learn(
    networks: SideBySide,
    x: Float[Tensor, "*networks rows d_in"],
    loss: Loss,
    steps: int = 150,
    lr: float | int = 0.02,
) -> SideBySide:
    """Train all networks on all rows of x in every step, with AdamW, in place; returns them.

    `loss` is a mean over networks and rows, and gets the share of the training that is done, for
    schedules. Raises CourseError when it is not finite.
    """

    def objective(model: nn.Module, done: float) -> tuple[Float[Tensor, ""], int]:
        return networks.n * loss(model(x), done), 1  # the sum: each network has a loss of its own

    adam = torch.optim.AdamW(networks.parameters(), lr=lr, weight_decay=0.0)
    train(
        networks,
        lambda step, share: (step + 0.5) / steps,
        adam,
        objective=objective,
        schedule=functools.partial(trapezoid, warmup=0.05),
        steps=steps,
        clip=None,  # one norm over all networks would tie them together
    )
    return networks


@torch.no_grad()
def logits(
    networks: SideBySide, x: Float[Tensor, "*networks rows d_in"]
) -> Float[Tensor, "networks rows classes"]:
    """What the trained networks say, without dropout."""
    return networks.eval()(x)


def right_or_wrong(
    networks: SideBySide, x: Float[Tensor, "rows d_in"], y: Int[Tensor, " rows"]
) -> Float[np.ndarray, "networks rows"]:
    """1 where a network's likeliest class is the label, 0 elsewhere: scores for `compare`."""
    return (logits(networks, x).argmax(-1) == y).double().numpy()
