"""How long a model makes one wait: the median time of real inputs, models in turn, one thread.

    seconds = latencies({"teacher": teacher, "student": student}, batches)
    p50(seconds["student"]), speedup(seconds["teacher"], seconds["student"])

Times on a shared machine swing; models that are timed one after the other are timed under other
conditions. So each batch goes through all models before the next, after a first round that does not
count, and what is compared is the ratio of medians.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from course_lib.errors import CourseError


def latencies(
    models: Mapping[str, Callable[..., Any]],
    batches: Sequence[Sequence[Any]],
    rounds: int = 3,
) -> dict[str, Float[np.ndarray, " calls"]]:
    """Seconds of `model(*batch)` for every model and batch, `rounds` times, dropout off.

    Raises CourseError when there is nothing to time.
    """
    if not models or not batches or rounds < 1:
        raise CourseError("there is nothing to time; give models, batches and 1 round or more")
    taken: dict[str, list[float]] = {name: [] for name in models}
    was_training = {
        name: model.training for name, model in models.items() if isinstance(model, nn.Module)
    }
    for name in was_training:
        models[name].eval()
    try:
        with one_thread(), torch.inference_mode():
            for counted in [False, *[True] * rounds]:
                for batch in batches if counted else batches[:2]:
                    for name, model in models.items():
                        start = time.perf_counter()
                        model(*batch)
                        if counted:
                            taken[name].append(time.perf_counter() - start)
    finally:
        for name, training in was_training.items():
            models[name].train(training)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def p50(seconds: Float[np.ndarray, " calls"]) -> float:
    """The median, in milliseconds: half of the calls are quicker."""
    return float(1000 * np.median(seconds))


def speedup(slow: Float[np.ndarray, " calls"], fast: Float[np.ndarray, " calls"]) -> float:
    """How many times as long the first takes, median against median."""
    return float(np.median(slow) / np.median(fast))


def megabytes(model: nn.Module) -> float:
    """What the weights take, 10⁶ bytes, each tensor once."""
    tensors = {p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    return sum(tensors.values()) / 1e6


@contextmanager
def one_thread():
    """One thread inside; as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
