"""What a training run did, step by step: numbers to keep, and the picture of them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from course_lib.errors import CourseError
from course_lib.files import write_atomically


@dataclass
class History:
    """One entry a step in the first lists, one an evaluation in the `val_` lists."""

    train_loss: list[float] = field(default_factory=list)  # mean over the tokens of the step
    grad_norm: list[float] = field(default_factory=list)  # before clipping
    lr: list[float] = field(default_factory=list)  # of the first parameter group
    scored: list[int] = field(default_factory=list)  # tokens (or examples) of the step
    seconds: list[float] = field(default_factory=list)  # of training since its start, cumulative
    val_steps: list[int] = field(default_factory=list)  # steps done when evaluated
    val_seconds: list[float] = field(default_factory=list)  # of training until then
    val_loss: list[float] = field(default_factory=list)
    evaluation_seconds: float = 0.0  # not in `seconds`
    compile_seconds: float = 0.0  # not in `seconds`
    stopped: str = ""  # why training ended: "steps", "seconds", "patience", "interrupted"

    def add_step(
        self, loss: float, grad_norm: float, lr: float, scored: int, seconds: float
    ) -> None:
        """Put down a step that took so many `seconds`."""
        self.seconds.append(self.elapsed + seconds)
        self.train_loss.append(loss)
        self.grad_norm.append(grad_norm)
        self.lr.append(lr)
        self.scored.append(scored)

    def add_evaluation(self, loss: float) -> None:
        """Put down the validation loss after the steps done so far."""
        self.val_steps.append(self.steps)
        self.val_seconds.append(self.elapsed)
        self.val_loss.append(loss)

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.train_loss)

    @property
    def elapsed(self) -> float:
        """Seconds of training, without evaluation and compilation."""
        return self.seconds[-1] if self.seconds else 0.0

    @property
    def best_loss(self) -> float:
        """The lowest validation loss; infinite before the first evaluation."""
        return min(self.val_loss, default=float("inf"))

    @property
    def best_step(self) -> int | None:
        """The number of steps after which the validation loss was lowest, None if unknown."""
        return self.val_steps[self.val_loss.index(self.best_loss)] if self.val_loss else None

    def plot(self, by: str = "steps") -> Any:
        """A figure over `by` "steps" or "seconds": losses above, gradient norm and rate below."""
        import matplotlib.pyplot as plt

        from course_lib.figures.style import BLUE, GREEN, GREY, ORANGE

        across = {"steps": range(1, self.steps + 1), "seconds": self.seconds}
        evaluated = {"steps": self.val_steps, "seconds": self.val_seconds}
        if by not in across:
            raise CourseError(f'a history is drawn by "steps" or "seconds", not by {by!r}')
        fig, (losses, norms) = plt.subplots(2, 1, figsize=(7, 5), sharex=True, height_ratios=[3, 1])
        losses.plot(across[by], self.train_loss, color=BLUE, linewidth=0.9, label="training batch")
        if self.val_loss:
            losses.plot(evaluated[by], self.val_loss, color=ORANGE, marker="s", label="validation")
            losses.axhline(self.best_loss, color=GREY, linewidth=0.9, linestyle=":")
        losses.set_ylabel("loss (nats)")
        losses.legend()
        norms.plot(across[by], self.grad_norm, color=GREEN, linewidth=0.9)
        norms.set(yscale="log", ylabel="gradient norm", xlabel=by)
        rates = norms.twinx()
        rates.plot(across[by], self.lr, color=GREY, linestyle="--", linewidth=1.2)
        rates.set_ylabel("rate (dashed)", color=GREY)
        rates.grid(visible=False)
        return fig

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_atomically(Path(path), json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "History":
        """Read what `save` wrote. Raises CourseError for a file that is not a history."""
        try:
            return cls(**json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CourseError(f"{path} holds no training history ({error})") from None
