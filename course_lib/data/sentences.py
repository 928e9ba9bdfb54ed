"""Sentences out of longer texts, for when more text is wanted and no labels.

sentences(imdb()["train"]["text"], at_most=20_000)
"""

import hashlib
import re
from collections.abc import Iterable

_END = re.compile(r"(?<=[.!?])\s+")


def sentences(texts: Iterable[str], at_most: int, words: tuple[int, int] = (6, 40)) -> list[str]:
    """Sentences with at least and at most so many words, in small letters, none twice.

    Cut after . ! and ?, and chosen by the hash of the sentence, so that the first of a longer list
    are those of a shorter one.
    """
    fewest, most = words
    found = {s.lower().strip() for text in texts for s in _END.split(text)}
    fitting = (s for s in found if fewest <= len(s.split()) <= most)
    ranked = sorted(fitting, key=lambda s: hashlib.sha256(s.encode("utf-8")).digest())
    return ranked[:at_most]
