"""What a written text lacks beside a real one: variety, rare words; and where a model loses.

A student may have its teacher's loss and still say the same few things. `distinct_n` and
`shared_n_grams` count that; `words_of`, `rare_word_share` and `loss_by_rarity` look at the tail of
the vocabulary.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from course_lib.errors import CourseError

Unit = str | int  # a character, a word, a token
WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without what stands between them."""
    return [word.lower() for word in WORD.findall(text)]


def n_grams(text: Sequence[Unit], n: int) -> list[tuple[Unit, ...]]:
    """All stretches of n units, from left to right; none where the text is shorter."""
    return list(zip(*(text[i:] for i in range(n)), strict=False))


def distinct_n(texts: Sequence[Sequence[Unit]], n: int) -> float:
    """Different n-grams / all n-grams of the texts together, from 0 to 1.

    It falls with the amount of text, so compare equal amounts only. Li et al. (2016), "A
    Diversity-Promoting Objective Function for Neural Conversation Models", section 4.3.

    Raises CourseError when no text is n units long.
    """
    grams = [gram for text in texts for gram in n_grams(text, n)]
    if not grams:
        raise CourseError(f"no text has {n} units; give longer texts or a smaller n")
    return len(set(grams)) / len(grams)


def shared_n_grams(texts: Sequence[Sequence[Unit]], n: int) -> float:
    """How much the texts say the same: the share of a text's n-grams that another text has too.

    The mean over texts, from 0 to 1. The precision inside Self-BLEU for a single n, without the
    clipping and the penalty. Zhu et al. (2018), "Texygen", section 2.2.

    Raises CourseError for fewer than two texts of n units.
    """
    sets = [n_grams(text, n) for text in texts if len(text) >= n]
    if len(sets) < 2:
        raise CourseError(f"give two texts of at least {n} units; one has nobody to repeat")
    holders = Counter(gram for grams in sets for gram in set(grams))
    return float(np.mean([np.mean([holders[gram] > 1 for gram in grams]) for grams in sets]))


def unigram_entropy(texts: Sequence[Sequence[Unit]]) -> float:
    """Entropy of the units' frequencies, in nats: how evenly the vocabulary is used."""
    counts = np.array(list(Counter(unit for text in texts for unit in text).values()), float)
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum())


def rare_word_share(words: Sequence[str], known: Counter, most: int = 5) -> tuple[float, float]:
    """The shares of words that `known` has 1 … `most` times, and that it does not have at all."""
    times = np.array([known[word] for word in words])
    return float(((times > 0) & (times <= most)).mean()), float((times == 0).mean())


def loss_by_rarity(
    text: str, nats: Float[np.ndarray, " n"], known: Counter, edges: Sequence[int]
) -> dict[str, tuple[float, int]]:
    """Mean nats of a character inside words, by how often `known` has the word, and how many.

    `nats` are what each character of `text` costs. `edges` 0, 5, 100 make the classes "0", "1–5",
    "6–100" and "over 100". The keys of classes without a character are left out.
    """
    if len(text) != len(nats):
        raise CourseError(f"{len(text)} characters have {len(nats)} losses; give one for each")
    spans = [(m.start(), m.end(), known[m.group().lower()]) for m in WORD.finditer(text)]
    found: dict[str, list[np.ndarray]] = {name: [] for name in _classes(edges)}
    for start, end, times in spans:
        place = int(np.searchsorted(edges, times))
        found[_classes(edges)[place]].append(nats[start:end])
    joined = {name: np.concatenate(parts) for name, parts in found.items() if parts}
    return {name: (float(costs.mean()), len(costs)) for name, costs in joined.items()}


def _classes(edges: Sequence[int]) -> list[str]:
    names = [
        str(high) if high == low + 1 else f"{low + 1}–{high}"
        for low, high in zip([-1, *edges], edges, strict=False)
    ]
    return [*names, f"over {edges[-1]}"]
