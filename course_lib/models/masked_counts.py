"""Guessing a hidden token by counting: what stands between these two neighbours?

The baselines that a masked language model has to beat, from the counts of chapter 01. They know the
token on the left, the token on the right, or both:

    p(x | l, r)  ∝  p(x | l) · p(x | r) / p(x)^γ

With γ = 1 this is exact where l and r are independent given x, by Bayes' rule. Here it is chosen on
validation, between 0 and 1. Each p(x | neighbour) is a modified Kneser–Ney bigram, the right one
counted on the text read backwards. A neighbour that is hidden itself says nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from course_lib.models.ngram import KneserNey, NGramCounts, NGramModel
from course_lib.tokenization.encoder_inputs import SpecialTokens

GAMMAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class MaskedCounts:
    """Counts of a training text, to guess hidden tokens of others."""

    left: NGramModel  # p(x | the token before it)
    right: NGramModel  # p(x | the token after it)
    frequency: Float64[np.ndarray, " vocab"]  # p(x): no neighbour known
    n_special: int  # the first tokens of the vocabulary, which are never hidden

    @classmethod
    def of(
        cls, tokens: Int[np.ndarray, " n"], vocab_size: int, n_special: int = 5
    ) -> "MaskedCounts":
        """Count a text in which [SEP] stands before and after every sentence (see `separated`)."""
        counts = np.bincount(tokens, minlength=vocab_size) + 1.0  # every token may come
        counts[:n_special] = 0
        forward, backward = (
            NGramCounts.of(t, vocab_size, 2) for t in (tokens, tokens[::-1].copy())
        )
        return cls(KneserNey(forward, 2), KneserNey(backward, 2), counts / counts.sum(), n_special)

    def nats(
        self,
        ids: Int[np.ndarray, "batch tokens"],
        labels: Int[np.ndarray, "batch tokens"],
        special: SpecialTokens,
        gamma: float | int = 1.0,
    ) -> dict[str, Float64[np.ndarray, " labelled"]]:
        """What each labelled token of a batch costs, in reading order, by each of the guesses.

        `ids` are what the model reads, [MASK] where a token is hidden. [CLS] counts as [SEP]: a
        sentence begins after it.
        """
        row, column = np.nonzero(labels >= 0)
        before, after = ids[row, column - 1], ids[row, column + 1]
        known = [neighbour != special.mask for neighbour in (before, after)]
        before = np.where(before == special.cls, special.sep, before)
        found = self.log_probs(labels[row, column], before, after, *known, gamma)
        return {name: -log_probs for name, log_probs in found.items()}

    def log_probs(
        self,
        hidden: Int[np.ndarray, " n"],
        before: Int[np.ndarray, " n"],
        after: Int[np.ndarray, " n"],
        before_known: Bool[np.ndarray, " n"],
        after_known: Bool[np.ndarray, " n"],
        gamma: float | int = 1.0,
    ) -> dict[str, Float64[np.ndarray, " n"]]:
        """ln p of each hidden token by "unigram", "left" and "left × right", given its neighbours.

        Where a neighbour is not known, the guess does without it.
        """
        unigram = np.log(np.maximum(self.frequency, 1e-300))[None].repeat(len(hidden), 0)
        left = np.where(before_known[:, None], self._logs(self.left, before), unigram)
        right = np.where(after_known[:, None], self._logs(self.right, after), unigram)
        both = left + right - np.where(before_known & after_known, gamma, 1.0)[:, None] * unigram
        rows = np.arange(len(hidden))
        found = {}
        for name, logits in (("unigram", unigram), ("left", left), ("left × right", both)):
            ordinary = logits[:, self.n_special :]  # special tokens are never the answer
            largest = ordinary.max(1, keepdims=True)
            total = np.log(np.exp(ordinary - largest).sum(1)) + largest[:, 0]
            found[name] = logits[rows, hidden] - total
        return found

    def _logs(
        self, model: NGramModel, neighbour: Int[np.ndarray, " n"]
    ) -> Float64[np.ndarray, "n vocab"]:
        return np.log(np.maximum(model.next_token_probs(neighbour[:, None]), 1e-300))


def separated(sentences: Iterable[Int[np.ndarray, " _"]], sep: int) -> Int[np.ndarray, " n"]:
    """The sentences as one text, with [SEP] before, between and after them."""
    parts = [part for sentence in sentences for part in ([sep], sentence)]
    return np.concatenate([*parts, [sep]]).astype(np.int64)
