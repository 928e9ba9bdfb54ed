"""A large teacher asked once: its rows over a trimmed vocabulary, stored, and learned from later.

A small student for one domain needs few of the teacher's tokens. `TrimmedVocabulary` keeps those
that the domain's text has, and one more that stands for all others; the teacher's probabilities are
added up accordingly, which is exact. `ask` stores the k likeliest of each row, and `StoredRows`
gives them to `train`, beside the text, with `from_stored` as the objective.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.distillation.sequence import soft_and_hard, top_k, top_k_kl
from course_lib.models.gpt import GPT
from course_lib.training.objectives import Objective, evaluating

Number = float | int
# windows of the student's tokens; and of each but the last the teacher's k likeliest next tokens
Rows = tuple[
    Int[Tensor, "batch window"], Float[Tensor, "batch places k"], Int[Tensor, "batch places k"]
]


@dataclass(frozen=True)
class TrimmedVocabulary:
    """Some of a teacher's tokens, in order, and one for all others: the student's vocabulary."""

    kept: Int[np.ndarray, " kept"]  # the teacher's numbers, ascending

    @classmethod
    def of(cls, tokens: Int[np.ndarray, " n"], at_least: int = 2) -> "TrimmedVocabulary":
        """The tokens that a text has `at_least` so many times."""
        found, times = np.unique(tokens, return_counts=True)
        return cls(found[times >= at_least])

    @property
    def size(self) -> int:
        """How many tokens the student has."""
        return len(self.kept) + 1

    @property
    def other(self) -> int:
        """The student's token for every token that was not kept."""
        return len(self.kept)

    def trim(self, tokens: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The teacher's tokens as the student's."""
        places = np.searchsorted(self.kept, tokens).clip(max=len(self.kept) - 1)
        return np.where(self.kept[places] == tokens, places, self.other)

    def coarsen(self, log_probs: Float[Tensor, "*rows vocab"]) -> Float[Tensor, "*rows trimmed"]:
        """The teacher's log-probabilities of the student's tokens; those of others are added up."""
        kept = torch.from_numpy(self.kept)
        others = torch.ones(log_probs.size(-1), dtype=torch.bool)
        others[kept] = False
        rest = log_probs[..., others].logsumexp(-1, keepdim=True)
        return torch.cat([log_probs[..., kept], rest], dim=-1)


@dataclass(frozen=True)
class Asked:
    """What a teacher said about a text, in the student's tokens."""

    tokens: Int[np.ndarray, " n"]  # the text
    log_probs: Float[Tensor, "n_minus_1 k"]  # of the k likeliest tokens after each token …
    likeliest: Int[Tensor, "n_minus_1 k"]  # … and which they are
    nats: Float[np.ndarray, " n_minus_1"]  # what each next token cost the teacher

    @property
    def stored_bytes(self) -> int:
        """With a probability and a token in two bytes each."""
        return 4 * self.likeliest.numel()


def ask(
    teacher: GPT,
    tokens: Int[np.ndarray, " n"],
    vocabulary: TrimmedVocabulary,
    *,
    k: int = 32,
    window: int = 256,
    together: int = 4,
) -> Asked:
    """Let the teacher read a text in its own tokens, in windows of `window`, and keep its rows.

    A window begins with an empty history, so the first rows of each are the least informed.
    """
    trimmed = vocabulary.trim(tokens)
    values, likeliest, nats = [], [], []
    starts = range(0, len(tokens) - 1, window)
    with evaluating(teacher):
        for group in range(0, len(starts), together):
            parts = [tokens[s : s + window + 1] for s in starts[group : group + together]]
            length = max(map(len, parts))
            padded = np.zeros((len(parts), length), np.int64)
            for row, part in zip(padded, parts, strict=True):
                row[: len(part)] = part
            log_probs = teacher(torch.from_numpy(padded[:, :-1])).float().log_softmax(-1)
            for i, (s, part) in enumerate(zip(starts[group:], parts, strict=False)):
                rows = vocabulary.coarsen(log_probs[i, : len(part) - 1])
                best = top_k(rows, min(k, vocabulary.size))
                values.append(best[0])
                likeliest.append(best[1].to(torch.int32))
                targets = torch.from_numpy(trimmed[s + 1 : s + len(part)])
                nats.append(-rows.gather(1, targets[:, None])[:, 0].numpy())
    return Asked(trimmed, torch.cat(values), torch.cat(likeliest), np.concatenate(nats))


@dataclass(frozen=True)
class StoredRows:
    """Windows of a text at random places, with what the teacher said after each of their tokens."""

    asked: Asked
    context: int  # tokens that the student reads
    batch_size: int
    seed: int = 0

    def __call__(self, step: int, share: int = 0) -> Rows:
        random = np.random.default_rng([self.seed, step, share])
        n = len(self.asked.tokens)
        starts = random.integers(n - self.context, size=(self.batch_size, 1))
        places = starts + np.arange(self.context)
        windows = self.asked.tokens[starts + np.arange(self.context + 1)].astype(np.int64)
        return (
            torch.from_numpy(windows),
            self.asked.log_probs[places],
            self.asked.likeliest[places].long(),
        )


def from_stored(alpha: Number) -> Objective:
    """α · KL from the stored rows (with their tail) + (1 − α) · nats of the text's next token."""

    def objective(student: nn.Module, batch: Rows) -> tuple[Float[Tensor, ""], int]:
        windows, log_probs, likeliest = batch
        z = student(windows[:, :-1])
        soft = top_k_kl(z, log_probs, likeliest)
        loss = soft_and_hard(soft, z, windows[:, 1:], alpha)
        return loss.sum(), loss.numel()

    return objective
