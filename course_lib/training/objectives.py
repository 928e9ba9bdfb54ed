"""What training makes small: an objective takes (model, batch) to a sum and a count.

Not to a mean, because means do not add up: where batches hold different numbers of scored
tokens, the mean of their means is not the mean over all tokens. `train` adds the sums of all
processes and all rounds of accumulation, and divides once, by the number of tokens they scored.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import send_to_device
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError

# (model, batch) → (summed loss, how many tokens or examples were scored)
Objective = Callable[[nn.Module, Any], tuple[Float[Tensor, ""], int]]


def causal_lm_loss(
    model: nn.Module, windows: Int[Tensor, "batch window"]
) -> tuple[Float[Tensor, ""], int]:
    """Nats of each window's tokens after its first, each predicted from those before it, summed."""
    inputs, targets = windows[:, :-1], windows[:, 1:]  # the target is the next token
    logits = model(inputs)  # (batch, window - 1, vocab)
    nats = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
    return nats, targets.numel()


def mean_loss(
    model: nn.Module, batches: Iterable[Any], objective: Objective = causal_lm_loss
) -> float:
    """The objective's mean over `batches`, in evaluation mode: `train(evaluate=…)` takes it.

    Raises CourseError when the batches hold nothing to score.
    """
    device = next(model.parameters()).device
    with evaluating(model):
        scores = [objective(model, send_to_device(batch, device)) for batch in batches]
    if not (scored := sum(count for _, count in scores)):
        raise CourseError("there is nothing to score in these batches; give some validation text")
    return sum(float(loss) for loss, _ in scores) / scored


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off and no gradients inside; the model's mode is put back afterwards."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
