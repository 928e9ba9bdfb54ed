"""Speeches as documents of sentences: what next-sentence prediction needs, and lines do not give.

`speech_sentences()` gives the addresses of the presidents, split by speech into train, validation
and test: a document is one speech, its sentences in order. Sentences of different speeches are
never neighbours.
"""

import re
from dataclasses import dataclass

from course_lib.data.corpora import sotu_split, speeches

Splits = dict[str, list["Document"]]

# The end of a sentence: a mark, perhaps closing quotes, white space, then the start of another; not
# after an initial (J. Adams), U.S. or the titles that are cut short.
_END = re.compile(
    r"(?<![A-Z])(?<!\bMr|\bDr|\bSt|\bNo)(?<!\bMrs|\bGen)[.?!][\"')]*\s+(?=[\"'(]*[A-Z0-9])"
)


@dataclass(frozen=True)
class Document:
    """Sentences that were written one after the other."""

    name: str
    year: int
    sentences: tuple[str, ...]


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order; a blank line ends one too.

    >>> sentences("Mr. Speaker, thank you. Is it 5 p.m.? It is.\\n\\nA heading\\n\\nThe end.")
    ['Mr. Speaker, thank you.', 'Is it 5 p.m.?', 'It is.', 'A heading', 'The end.']
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        for end in _END.finditer(paragraph):
            found.append(paragraph[start : end.end()])
            start = end.end()
        found.append(paragraph[start:])
    return [" ".join(s.split()) for s in found if s.strip()]


def speech_sentences() -> Splits:
    """The addresses by split, "train", "validation" and "test", oldest first.

    The split is that of `course_lib.data.corpora`: by year and president, 8 in 10 to train.
    """
    splits: Splits = {"train": [], "validation": [], "test": []}
    for speech in speeches():
        document = Document(speech.name, speech.year, tuple(sentences(speech.text)))
        splits[sotu_split(speech.name)].append(document)
    return splits
