"""Where a loss became infinite or not a number: the first parameter, activation or gradient.

`train` asks here only after it has seen a non-finite loss or gradient norm; the step is then run
once more with a watch on every layer.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def find_nonfinite(model: nn.Module, loss: Callable[[], Tensor]) -> str | None:
    """Say what is non-finite first, in the order of computation, when `loss()` is run again.

    `loss` runs the forward pass of one batch through `model` and returns the summed loss; the
    model's gradients are lost. None when everything is finite this time.
    """
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            return f"the parameter {name}, already before this step"

    seen: list[str] = []

    def watch(name: str) -> Callable:
        def look(_: nn.Module, inputs: Any, outputs: Any = ()) -> None:
            what = "input" if outputs == () else "output"
            if not seen and not _all_finite(inputs if what == "input" else outputs):
                seen.append(f"the {what} of {name}")

        return look

    handles = []
    for name, module in model.named_modules():
        label = (
            f"{name} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"
        )
        handles.append(module.register_forward_pre_hook(watch(label)))
        handles.append(module.register_forward_hook(watch(label)))
    try:
        total = loss()
    finally:
        for handle in handles:
            handle.remove()
    if seen:
        return f"{seen[0]}, while all parameters are finite"
    if not total.isfinite():
        return "the objective, while all activations are finite"

    model.zero_grad()
    cause = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this is slow
            with torch.autograd.detect_anomaly(check_nan=True):
                loss().backward()
    except RuntimeError as error:
        cause = f" ({str(error).rstrip('.')})"
        model.zero_grad()
        loss().backward()
    # The backward pass goes from the last layer to the first.
    for name, parameter in reversed(list(model.named_parameters())):
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name}{cause}, while the loss is finite"
    return None


def _all_finite(values: Any) -> bool:
    if isinstance(values, Tensor):
        return not values.is_floating_point() or bool(values.isfinite().all())
    if isinstance(values, tuple | list):
        return all(map(_all_finite, values))
    return True
