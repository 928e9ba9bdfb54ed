"""Whether distilling is likely to pay, from the recorded map `when-distilling-pays`.

    rows = load_record("when-distilling-pays")
    print(advise(rows, labels=200, unlabelled=5000))

A cell of the map is a student with a teacher beside the same student without, at some number of
labels and amount of text without labels. The advice is that of the nearest cell, and it says which.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from course_lib.errors import CourseError
from course_lib.evidence import Comparison, compare
from course_lib.training.answers import unpacked

Cell = tuple[int, str]  # labels, and text without labels as the record names it
Start = Literal["copied", "random"]
Teacher = Literal["same labels", "all labels", "naive Bayes"]

TEXTS = {"none": 0, "2,000": 2000, "rest": 5500, "rest + IMDB": 11_000}  # sentences, about


def cells(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[Cell, Comparison]]:
    """For each start and teacher: what the teacher adds to the student, by labels and text.

    The student alone was trained for fewer and for more steps; the one with the better mean
    accuracy on validation counts.
    """
    runs: dict[tuple, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        s = row["setting"]
        key = s["start"], s["teacher"], s["labels"], s["unlabelled"], s.get("steps")
        runs[key].append(row["results"])

    def scored(key: tuple) -> np.ndarray:
        return np.stack([unpacked(r["right"], r["n"]) for r in runs[key]])

    def on_validation(key: tuple) -> float:
        return float(np.mean([r["validation_accuracy"] for r in runs[key]]))

    found: dict[tuple[str, str], dict[Cell, Comparison]] = defaultdict(dict)
    for key in list(runs):
        start, teacher, labels, text, _ = key
        if teacher == "none":
            continue
        alone = [k for k in runs if k[:3] == (start, "none", labels)]
        if not alone:
            raise CourseError(
                f"the record has no student alone with {labels} labels; run `course experiment "
                "when-distilling-pays`"
            )
        best = max(alone, key=on_validation)
        found[start, teacher][labels, text] = compare(
            scored(key),
            scored(best),
            names=("with a teacher", "alone"),
            lower_is_better=False,
        )
    return dict(found)


def advise(
    rows: Sequence[Mapping[str, Any]],
    labels: int,
    unlabelled: int = 0,
    start: Start = "copied",
    teacher: Teacher = "same labels",
) -> str:
    """What the nearest cell of the map says, in a few sentences.

    `labels` and `unlabelled` are numbers of sentences; `start` is how the student begins; `teacher`
    what the teacher was trained on.

    Raises CourseError for fewer than one label and for a start or teacher that the map lacks.
    """
    if labels < 1 or unlabelled < 0:
        raise CourseError("give 1 label or more, and 0 or more sentences without")
    found = cells(rows).get((start, teacher))
    if not found:
        raise CourseError(f"the map has no student with {start} layers and a teacher on {teacher}")
    near = min(found, key=lambda cell: _distance(cell, labels, unlabelled))
    gain = found[near]
    verdict = {
        "win": "a teacher is likely to pay",
        "tie": "a teacher makes no difference that could be found; save its cost",
        "loss": "a teacher is likely to do harm",
    }[gain.verdict]
    text = f"{TEXTS[near[1]]:,} sentences" if TEXTS[near[1]] else "no text"
    return (
        f"With {labels:,} labels, {unlabelled:,} sentences without, and {start} layers:\n"
        f"{verdict}.\n"
        f"The nearest setting that was measured has {near[0]:,} labels and {text} without labels; "
        f"there a\nteacher ({teacher}) changed accuracy by {gain:+.1%}."
    )


def within(
    rows: Sequence[Mapping[str, Any]], milliseconds: float | int
) -> list[tuple[str, float, float]]:
    """Of the record `distilling-bert`: the models that answer one sentence so quickly.

    Each with its median wait in milliseconds on the machine of the record, and the mean accuracy of
    its best way to be taught, the most accurate first.
    """
    waits: dict[str, list[float]] = defaultdict(list)
    accuracies: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        setting, results = row["setting"], row["results"]
        for name, taken in results.get("milliseconds", {}).get("1", {}).items():
            waits[name] += taken
        if "rotten_tomatoes" in results:
            way = " ".join(str(value) for key, value in setting.items() if key != "student")
            accuracies[setting["student"]][way].append(results["rotten_tomatoes"]["accuracy"])
    found = [
        (name, float(np.median(taken)), max(float(np.mean(a)) for a in accuracies[name].values()))
        for name, taken in waits.items()
        if np.median(taken) <= milliseconds and name in accuracies
    ]
    return sorted(found, key=lambda model: -model[2])


def _distance(cell: Cell, labels: int, unlabelled: int) -> float:
    """In factors of ten: how far the asked numbers are from those of a cell."""
    n, text = cell
    by_labels = abs(math.log10(labels / n))
    by_text = abs(math.log10((unlabelled + 300) / (TEXTS[text] + 300)))
    return by_labels + by_text
