"""Answers without a network: what rules and counted words find in a text of stated facts.

A `StatementReader` learns from training rows between which words values stand ("The capital is
….") and so cuts a context into facts. The baselines then choose one: the longest number, the fact
that shares most words with the question, or the kind of fact that answered the most similar
question in training.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

Baseline = Callable[[Mapping], str]  # a row without its answer → an answer


@dataclass(frozen=True, order=True)
class Frame:
    """The words of a statement around its value: "The capital is " and "."."""

    before: str
    after: str

    @classmethod
    def of(cls, row: Mapping) -> "Frame":
        """The words around the answer of a row."""
        end = row["start"] + len(row["answer"])
        before = row["context"][: row["start"]].rsplit(". ", 1)[-1]
        after = row["context"][end:].split(".", 1)[0] + "."
        return cls(before, after)


@dataclass(frozen=True)
class StatementReader:
    """Cuts contexts into facts, by the frames it knows."""

    frames: tuple[Frame, ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping]) -> "StatementReader":
        """With the frames of these rows' answers."""
        return cls(tuple(sorted({Frame.of(row) for row in rows})))

    def facts(self, context: str) -> dict[Frame, str]:
        """The value that stands in each frame, in the context's order."""
        found = []
        for frame in self.frames:
            begins = re.search(rf"(?:^|\. ){re.escape(frame.before)}", context)
            if begins:
                place = begins.start() + 2 * begins[0].startswith(". ")
                found.append((place, -len(frame.before), frame, begins.end()))
        # Of two frames at one place the longer is meant ("The head of government is").
        found.sort()
        found = [f for i, f in enumerate(found) if i == 0 or f[0] != found[i - 1][0]]
        ends = [place - 1 for place, *_ in found[1:]] + [len(context)]
        return {
            frame: context[start:end].removesuffix(frame.after)
            for (_, _, frame, start), end in zip(found, ends, strict=True)
        }

    def shortened(self, row: Mapping, n_facts: int, seed: int = 0) -> dict:
        """The same question with a context of its answer and `n_facts` − 1 of the other facts."""
        facts, asked = self.facts(row["context"]), Frame.of(row)
        others = [frame for frame in facts if frame != asked]
        kept = {asked, *Random(f"{seed} {row['question']}").sample(others, n_facts - 1)}
        context, start = "", 0
        for frame, value in facts.items():
            if frame in kept:
                context += f" {frame.before}" if context else frame.before
                start = len(context) if frame == asked else start
                context += value + frame.after
        return {**row, "context": context, "start": start}


def words(text: str) -> set[str]:
    """The different words of a text, in small letters."""
    return set(re.findall(r"\w+", text.lower()))


def longest_number(row: Mapping) -> str:
    """The number with the most digits, or nothing."""
    numbers = re.findall(r"\d[\d,.]*\d|\d", row["context"])
    return max(numbers, key=lambda number: sum(map(str.isdigit, number)), default="")


def word_overlap(reader: StatementReader) -> Baseline:
    """The value of the fact whose statement shares most words with the question."""

    def answer(row: Mapping) -> str:
        facts, asked = reader.facts(row["context"]), words(row["question"])
        return facts[max(facts, key=lambda frame: len(words(frame.before + frame.after) & asked))]

    return answer


def similar_question(reader: StatementReader, training: Iterable[Mapping]) -> Baseline:
    """The value in the frame that answered the training question which shares most words.

    Similar is what has the greatest share of common words among the words of both questions; only
    frames that stand in the context come into question.
    """
    known: dict[Frame, set[frozenset[str]]] = {}
    for row in training:
        known.setdefault(Frame.of(row), set()).add(frozenset(words(row["question"])))

    def answer(row: Mapping) -> str:
        facts, asked = reader.facts(row["context"]), words(row["question"])

        def similarity(frame: Frame) -> float:
            shares = (len(asked & other) / len(asked | other) for other in known.get(frame, ()))
            return max(shares, default=0.0)

        return facts[max(facts, key=similarity)]

    return answer
