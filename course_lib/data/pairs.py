"""Sentences in two languages.

`hsk()` gives Chinese sentences for learners with English beside them, cut into words by the people
who made the collection. Several of them differ in one word only, so a model that trains on some
and is tested on others must be given splits that keep such sentences together.
"""

import json
from dataclasses import dataclass

from course_lib.data import parcels

HSK_ATTRIBUTION = "Sentences: hsk-sentences-audio 1.0.0 by its contributors, CC BY-SA 4.0"


@dataclass(frozen=True)
class SentencePair:
    """One sentence in Chinese and in English."""

    name: str  # as in the parcel: "hsk3-0147"
    chinese: str  # simplified characters, with punctuation, no spaces
    words: tuple[str, ...]  # the Chinese words, without punctuation
    english: str
    level: int  # HSK 3.0, from 1 (beginner) up


def hsk() -> list[SentencePair]:
    """The 4,354 pairs, the easiest level first. CC BY-SA 4.0: where you show some, say
    `HSK_ATTRIBUTION`.

    Raises CourseError when the parcel cannot be had.
    """
    folder = parcels.fetch("hsk-sentences-audio") / "hsk_sentences_audio" / "data"
    rows = json.loads((folder / "sentences.json").read_text("utf-8"))
    return [
        SentencePair(
            name=row["id"],
            chinese=row["chinese"],
            words=tuple(token["word"] for token in row["tokens"]),
            english=row["translation"]["en"],
            level=row["hsk_level"],
        )
        for row in rows
    ]
