"""A student's training as the recorded experiments of chapter 12 keep it: seconds of both kinds.

What a method costs is half of what is compared, and a machine is seldom alone with its run. So
beside the seconds on the wall, CPU seconds are counted, of training alone, and of all parts of a
run that was killed and resumed.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from course_lib.files import write_atomically
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.network_recipes import NetworkRecipe
from course_lib.training.objectives import Objective
from course_lib.training.optimizers import fastest_matmul_dtype

FIRST = 20  # steps whose training losses are kept, to be run again live


class CPUClock:
    """Batches that count the CPU seconds from each first one to the next `stop`.

    What it has counted is kept in a file, by the steps done: a resumed run goes on from the count
    of its checkpoint, and what a kill took away is not counted twice.
    """

    def __init__(self, batches: Callable[[int, int], Any], file: Path) -> None:
        self.batches, self.file = batches, file
        self.counted = {0: 0.0}  # steps done → CPU seconds they took
        if file.exists():
            self.counted = {int(steps): s for steps, s in json.loads(file.read_text()).items()}
        self._began: float | None = None  # None while it stands
        self._next = 0  # the step after the one that began last

    def __call__(self, step: int, share: int = 0) -> Any:
        if self._began is None:
            before = max(s for steps, s in self.counted.items() if steps <= step)
            self._began = time.process_time() - before
        self._next = step + 1
        return self.batches(step, share)

    def stop(self, steps: int | None = None) -> None:
        """Put down the count, after `steps` steps (default: all that began)."""
        if self._began is not None:
            steps = self._next if steps is None else steps
            self.counted[steps] = round(time.process_time() - self._began, 3)
            self._began = None
            write_atomically(self.file, json.dumps(self.counted))


def train_by(
    recipe: NetworkRecipe,
    model: nn.Module,
    batches: Callable[[int, int], Any],
    objective: Objective,
    **options: Any,
) -> History:
    """`train` with the optimizers, the schedule and the clipping of a recipe; `options` are
    `train`'s own."""
    return train(
        model,
        batches,
        recipe.optimizers(model),
        objective=objective,
        schedule=recipe.schedule,
        clip=recipe.clip,
        **options,
    )


def train_recorded(
    model: nn.Module,
    batches: Callable[[int, int], Any],
    objective: Objective,
    recipe: NetworkRecipe,
    *,
    steps: int,
    every: int,
    evaluate: Callable[[nn.Module], float],
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Train a student (or a `WithProjection`) as a recipe does; what a record keeps of that.

    Of the recipe are the optimizers, the schedule and the clipping. After every `every` steps, and
    at the end, `evaluate(model)` is its loss, and the run is saved in `folder`; it goes on from
    what it finds there, in the precision in which it began. The model comes back with its best
    weights.

    Raises KeyboardInterrupt when interrupted, after a checkpoint.
    """
    precision = folder / "precision"
    if not precision.exists():
        write_atomically(precision, fastest_matmul_dtype("cpu"))
    clock = CPUClock(batches, folder / "cpu_seconds.json")

    def look(model: nn.Module) -> float:
        clock.stop()
        return evaluate(model)

    history = train_by(
        recipe,
        model,
        clock,
        objective,
        steps=steps,
        evaluate=look,
        every=every,
        seed=seed,
        checkpoint=folder / "checkpoint.safetensors",
        bf16=precision.read_text() == "bfloat16",
    )
    if history.stopped == "interrupted":
        clock.stop(history.steps)
        raise KeyboardInterrupt
    return {
        "precision": precision.read_text(),
        "steps": history.val_steps,
        "seconds": [round(s, 2) for s in history.val_seconds],  # of training, without evaluation
        "cpu_seconds": [round(clock.counted[s], 2) for s in history.val_steps],
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "best_step": history.best_step,
        "first_losses": [round(loss, 5) for loss in history.train_loss[:FIRST]],
        "tokens": sum(history.scored),
        "largest_gradient": round(max(history.grad_norm), 2),  # before clipping
    }
