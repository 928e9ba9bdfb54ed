"""Look before a long run: how large each gradient is, and which learning rates can work at all."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.errors import CourseError
from course_lib.training.loop import train
from course_lib.training.objectives import Objective, causal_lm_loss


def gradient_norms(model: nn.Module, loss: Callable[[], Tensor]) -> dict[str, float]:
    """The norm of the gradient of `loss()` for each parameter, in the order of the model.

    0.0 stands for a parameter that gets no gradient although it is to be trained: it was detached,
    is not used, or all its units are dead. Parameters with requires_grad=False are left out. The
    gradients that the model holds are lost.
    """
    model.zero_grad()
    loss().backward()
    norms = {
        name: 0.0 if p.grad is None else p.grad.norm().item()
        for name, p in model.named_parameters()
        if p.requires_grad
    }
    model.zero_grad()
    return norms


@dataclass(frozen=True)
class RangeTest:
    """The training loss while the learning rate rose from step to step."""

    rates: Float[np.ndarray, " steps"]
    losses: Float[np.ndarray, " steps"]  # of each step's batch, before the step

    @property
    def smoothed(self) -> Float[np.ndarray, " steps"]:
        """The losses averaged over about ten steps around each."""
        window = min(11, len(self.losses) // 2 * 2 - 1)
        padded = np.pad(self.losses, window // 2, mode="edge")
        return np.convolve(padded, np.full(window, 1 / window), mode="valid")

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss was lowest: beyond it steps do more harm."""
        return float(self.rates[int(self.smoothed.argmin())])


def range_test(
    model: nn.Module,
    batches: Callable[[int, int], Any],
    optimizer: Callable[[nn.Module], Optimizer],
    *,
    low: float = 1e-5,
    high: float | int = 1.0,
    steps: int = 200,
    objective: Objective = causal_lm_loss,
) -> RangeTest:
    """Train a copy of the model while the learning rate rises from `low` to `high`.

    `optimizer(model)` makes the optimizer; its rate is replaced. Every step's rate is
    the one before times the same factor. The test ends early where the loss ceases to be finite.

    Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3, which raises
    the rate by the same amount; the same factor shows orders of magnitude on one plot.
    """
    if not 0 < low < high or steps < 4:
        raise CourseError("a range test needs a positive low, a higher high, and 4 steps or more")
    model = copy.deepcopy(model)
    made, losses = optimizer(model), {}  # the loss at each rate
    for group in made.param_groups:
        group["lr"] = high

    def seen(network: nn.Module, batch: Any) -> tuple[Tensor, int]:
        total, scored = objective(network, batch)
        if torch.isfinite(total):
            losses[made.param_groups[0]["lr"]] = float(total.detach()) / scored
        return total, scored

    def schedule(progress: float) -> float:
        return (low / high) ** (1 - progress)

    try:
        train(model, batches, made, objective=seen, schedule=schedule, steps=steps, clip=None)
    except CourseError:  # not finite any more
        if len(losses) < 4:
            raise
    return RangeTest(np.array(list(losses)), np.array(list(losses.values())))
