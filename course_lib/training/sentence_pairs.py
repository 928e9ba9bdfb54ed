"""Pairs of sentences as training wants them: padded batches, and the loss of the targets.

A batch is (sources, targets), rectangles of tokens filled up with PAD. Sources end with END;
targets begin with START and end with END, so that the decoder is given all but the last token and
is asked for all but the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.encoder_decoder import END, PAD, START

TokenPair = tuple[Sequence[int], Sequence[int]]  # source and target, without PAD, START and END
Batch = tuple[Int[Tensor, "batch sources"], Int[Tensor, "batch targets"]]


def batch_of(pairs: Sequence[TokenPair]) -> Batch:
    """The pairs as two rectangles of tokens.

    >>> sources, targets = batch_of([([5, 6], [7]), ([5], [8, 9])])
    >>> sources.tolist(), targets.tolist()
    ([[5, 6, 2], [5, 2, 0]], [[1, 7, 2, 0], [1, 8, 9, 2]])
    """
    sources = [[*source, END] for source, _ in pairs]
    targets = [[START, *target, END] for _, target in pairs]
    return _rectangle(sources), _rectangle(targets)


def _rectangle(rows: Sequence[Sequence[int]]) -> Int[Tensor, "rows longest"]:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


@dataclass(frozen=True)
class RandomPairs:
    """Batches of `batch_size` pairs drawn at random: a pure function of (seed, step, share)."""

    pairs: Sequence[TokenPair]
    batch_size: int  # pairs in a share
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pairs:
            raise CourseError("there are no pairs to draw from; give some to train on")

    def __call__(self, step: int, share: int = 0) -> Batch:
        """The pairs of one share of one step."""
        random = np.random.default_rng([self.seed, step])  # one endless sequence a step …
        chosen = random.integers(len(self.pairs), size=(share + 1) * self.batch_size)
        chosen = chosen[share * self.batch_size :]  # … of which a share is one stretch
        return batch_of([self.pairs[i] for i in chosen])


def batches_of(pairs: Sequence[TokenPair], batch_size: int = 64) -> list[Batch]:
    """All pairs, those of like length together, so that little is padding: for validation."""
    in_order = sorted(pairs, key=lambda pair: (len(pair[1]), len(pair[0])))
    starts = range(0, len(in_order), batch_size)
    return [batch_of(in_order[i : i + batch_size]) for i in starts]


def translation_loss(
    model: nn.Module, batch: Batch, smoothing: float = 0.0
) -> tuple[Float[Tensor, ""], int]:
    """Nats of all target tokens after START, END among them, summed; and how many they are.

    With `smoothing` a share of each target's probability is spread over the whole vocabulary:
    Szegedy et al. (2016), "Rethinking the Inception Architecture for Computer Vision", section 7.
    """
    source, target = batch
    given, asked = target[:, :-1], target[:, 1:]
    logits = model(source, given)  # (batch, targets - 1, vocab)
    nats = F.cross_entropy(
        logits.flatten(0, 1).float(),
        asked.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=smoothing,
    )
    return nats, int((asked != PAD).sum())
