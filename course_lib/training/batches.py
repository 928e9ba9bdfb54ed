"""Which tokens a training step reads: a pure function of (seed, step, share), nothing to store.

A step's batch is cut into equal shares, one for each process and each round of accumulation. Share
3 of step 70 is the same windows of text in every run with the same seed, whether one process reads
four shares in turn or four processes read one each. So a run that was killed goes on with exactly
the batches it would have seen, and two processes see what one would with twice the batch.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.errors import CourseError


@dataclass(frozen=True)
class RandomWindows:
    """Windows of `context` inputs and, one token further on, their targets, at random places."""

    tokens: Int[np.ndarray, " n"]  # the training text
    context: int  # inputs in a window; a window is one token longer, for the last target
    batch_size: int  # windows in a share
    seed: int = 0

    def __post_init__(self):
        if len(self.tokens) <= self.context:
            raise CourseError(
                f"the text has {len(self.tokens)} tokens, but a window takes {self.context + 1}; "
                "give a longer text or a shorter context"
            )

    def __call__(self, step: int, share: int = 0) -> Int[Tensor, "batch window"]:
        """The windows of one share of one step."""
        random = np.random.default_rng([self.seed, step])  # one endless sequence a step …
        starts = random.integers(len(self.tokens) - self.context, size=self._upto(share + 1))
        starts = starts[self._upto(share) :]  # … of which a share is one stretch
        windows = self.tokens[starts[:, None] + np.arange(self.context + 1)]
        return torch.from_numpy(windows.astype(np.int64))

    def _upto(self, share: int) -> int:
        return share * self.batch_size


def blocks(
    tokens: Int[np.ndarray, " n"], context: int, batch_size: int = 64
) -> list[Int[Tensor, "batch window"]]:
    """All of a text in windows whose targets do not overlap, in batches: for validation.

    They are the blocks of `course_lib.evaluation.evaluate_in_blocks`: targets that fill no whole
    block are left out, except in a text shorter than one block, which is a block of its own.

    Raises CourseError for a text of fewer than two tokens.
    """
    if len(tokens) < 2:
        raise CourseError("a text of one token has no token to predict from; give a longer one")
    context = min(context, len(tokens) - 1)
    text = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    return list(text.unfold(0, context + 1, context).split(batch_size))
