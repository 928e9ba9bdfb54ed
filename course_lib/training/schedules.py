"""The learning rate over a run: warm up, hold or fall, end near zero.

A schedule takes the progress of the run, from 0 to 1, to a factor on each learning rate. Progress
is counted in steps, or in seconds where training has a time limit; the schedule need not know.
Change its settings with `functools.partial(cosine, warmup=0.1)`.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def constant(progress: float, warmup: float = 0.0) -> float:
    """Rise in a straight line over the first `warmup` of the run, then stay."""
    return min(1.0, progress / warmup) if warmup else 1.0


def cosine(progress: float, warmup: float = 0.05, final: float = 0.0) -> float:
    """After the warm-up, half a cosine from 1 down to `final`.

    Loshchilov and Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts",
    equation 5, without restarts.
    """
    if progress < warmup:
        return progress / warmup
    fallen = (min(progress, 1.0) - warmup) / (1 - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * fallen)) / 2


def trapezoid(
    progress: float, warmup: float = 0.02, decay: float = 0.5, final: float = 0.0
) -> float:
    """Warm up, hold at 1, then fall in a straight line to `final` over the last `decay`.

    Zhai et al. (2022), "Scaling Vision Transformers", section 3.5, where the fall is a "cooldown".
    """
    falling = (1 - progress) / decay if decay else 1.0
    factor = final + (1 - final) * min(1.0, max(0.0, falling))
    return min(constant(progress, warmup), factor)
