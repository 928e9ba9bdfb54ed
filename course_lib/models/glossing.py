"""Translation without a network: word by word, or by the nearest sentence that one has.

`Glosses` learns from pairs of sentences which word goes with which (IBM model 1) and writes each
word's best partner, in the order of the source. `NearestSentence` gives the translation of the
training sentence that shares the rarest words with the one asked for. Whoever builds a translator
must beat both.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Words = tuple[str, ...]
EMPTY = ""  # stands in every source sentence


class Glosses:
    """t(e | f), the probability that source word f stands for target word e, learned by EM.

    In each round every target word is shared out among the words of its source sentence in
    proportion to t(e | f); t is then made anew from the shares. An empty word in every source
    sentence takes what has no partner.

    Brown et al. (1993), "The Mathematics of Statistical Machine Translation", model 1.
    """

    def __init__(self, pairs: Sequence[tuple[Words, Words]], rounds: int = 8) -> None:
        numbers: dict[tuple[str, str], int] = {}  # (f, e) → the place of t(e | f)
        met, place = [], []  # of each f beside each e: the number of (f, e), and which e it was
        n_places = 0
        for source, target in pairs:
            for e in target:
                for f in (EMPTY, *source):
                    met.append(numbers.setdefault((f, e), len(numbers)))
                    place.append(n_places)
                n_places += 1
        met, place = np.array(met, dtype=np.int64), np.array(place, dtype=np.int64)
        sources = {f: i for i, f in enumerate(dict.fromkeys(f for f, _ in numbers))}
        source_of = np.array([sources[f] for f, _ in numbers], dtype=np.int64)
        t = np.ones(len(numbers))
        for _ in range(rounds):
            shares = t[met] / np.bincount(place, t[met])[place]  # of one e among its sentence's f
            t = np.bincount(met, shares, len(numbers))
            t = t / np.bincount(source_of, t)[source_of]  # for each f the t(e | f) sum to one
        self.partners: dict[str, dict[str, float]] = defaultdict(dict)
        for (f, e), probability in zip(numbers, t.tolist(), strict=True):
            self.partners[f][e] = probability

    def best(self, word: str) -> str | None:
        """The likeliest partner; None for a word that was not in training."""
        words = self.partners.get(word)
        return max(words, key=words.__getitem__) if words else None

    def translate(self, words: Words, keep_unknown: bool = False) -> Words:
        """Each word's best partner; words without one are left out, or kept as they are."""
        found = [(word, self.best(word)) for word in words]
        return tuple(partner or word for word, partner in found if partner or keep_unknown)


class NearestSentence:
    """Gives back the translation of the training sentence that is most like the one asked for.

    Like: the sum over shared words of ln(n / how many sentences have the word), squared, divided by
    the lengths of both sentences' vectors of these (the cosine of tf-idf vectors).
    """

    def __init__(self, pairs: Sequence[tuple[Words, str]]) -> None:
        self.translations = [translation for _, translation in pairs]
        having = Counter(word for words, _ in pairs for word in set(words))
        self.weight = {word: math.log(len(pairs) / n) for word, n in having.items()}
        self.sentences_with: dict[str, list[int]] = defaultdict(list)
        self.lengths = []
        for i, (words, _) in enumerate(pairs):
            for word in dict.fromkeys(words):  # each once, in an order that never changes
                self.sentences_with[word].append(i)
            self.lengths.append(self._length(words))

    def translate(self, words: Words) -> str:
        """The translation that goes with the nearest sentence; of equals the first one's."""
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words):
            for i in self.sentences_with.get(word, ()):
                scores[i] += self.weight[word] ** 2
        if not scores:
            return self.translations[0]
        own = self._length(words)
        return self.translations[
            min(scores, key=lambda i: (-scores[i] / ((self.lengths[i] * own) or 1), i))
        ]

    def _length(self, words: Words) -> float:
        return math.sqrt(sum(self.weight.get(word, 0.0) ** 2 for word in dict.fromkeys(words)))
