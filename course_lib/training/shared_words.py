"""What shared words say about a pair of sentences: the bar for next-sentence prediction.

    words = SharedWords.of(documents, vocab_size)
    model = LogisticRegression().fit(words.of_pairs(pairs), labels)

Neighbours speak of the same things. Six numbers a pair, for a logistic regression to weigh.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from course_lib.training.pretraining import Sentence, TokenDocument

RARE = 1e-3  # a token with a smaller share of the text is rare


@dataclass(frozen=True)
class SharedWords:
    """How much two sentences share, given how frequent each token is."""

    frequency: Float64[np.ndarray, " vocab"]  # its share of the training text

    @classmethod
    def of(cls, documents: Sequence[TokenDocument], vocab_size: int) -> "SharedWords":
        """With the frequencies of some documents."""
        tokens = np.concatenate([s for d in documents for s in d]).astype(np.int64)
        return cls(np.bincount(tokens, minlength=vocab_size) / len(tokens))

    def of_pairs(self, pairs: Sequence[tuple[Sentence, Sentence]]) -> Float64[np.ndarray, "_ 6"]:
        """The numbers of every pair."""
        return np.array([self.of_pair(a, b) for a, b in pairs])

    def of_pair(self, a: Sentence, b: Sentence) -> list[float]:
        """Kinds of tokens they share, as shares of all and of the shorter; rare ones; lengths."""
        kinds_a, kinds_b = set(map(int, a)), set(map(int, b))
        common, shorter = kinds_a & kinds_b, min(len(kinds_a), len(kinds_b))
        rare = sum(self.frequency[token] < RARE for token in common)
        return [
            len(common) / len(kinds_a | kinds_b),
            len(common) / shorter,
            float(rare),
            rare / shorter,
            float(np.log(len(kinds_a))),
            float(np.log(len(kinds_b))),
        ]
