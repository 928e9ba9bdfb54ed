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
from jaxtyping import Float

from course_lib.errors import CourseError
from course_lib.evidence import Comparison, compare
from course_lib.training.answers import unpacked

Results = Mapping[str, Any]  # of one run
Row = Mapping[str, Any]  # of a record: "setting", "seed", "results"
Cell = tuple[int, str]  # labels, and text without labels as the record names it
Taught = tuple[str, str, int, str]  # start, teacher, labels, text without
Start = Literal["copied", "random"]
Teacher = Literal["same labels", "all labels", "naive Bayes"]

TEXTS = {"none": 0, "2,000": 2000, "rest": 5500, "rest + IMDB": 11_000}  # sentences, about


def alone(rows: Sequence[Row]) -> dict[tuple[str, int], list[Results]]:
    """The students without a teacher, by start and labels: the results of their runs, by seed.

    They were trained for fewer and for more steps; those with the better mean accuracy on
    validation count.
    """
    runs: dict[tuple[str, int], dict[int, list[Results]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row["seed"]):
        s = row["setting"]
        if s["teacher"] == "none":
            runs[s["start"], s["labels"]][s["steps"]].append(row["results"])
    return {
        key: max(by_steps.values(), key=lambda found: _mean(found, "validation_accuracy"))
        for key, by_steps in runs.items()
    }


def cells(rows: Sequence[Row]) -> dict[tuple[str, str], dict[Cell, Comparison]]:
    """For each start and teacher: what the teacher adds to the student, by labels and text."""
    found: dict[tuple[str, str], dict[Cell, Comparison]] = defaultdict(dict)
    for key in by_setting(rows):
        start, teacher, labels, text = key
        found[start, teacher][labels, text] = gain_over(rows, [key])
    return dict(found)


def gain_over(rows: Sequence[Row], settings: Sequence[Taught]) -> Comparison:
    """What a teacher adds to the student, the mean over these settings.

    Seed by seed: both were given the same labels, so the luck of their draw is no part of the
    difference. Raises CourseError for a setting that was not measured, or where the student alone
    was not with the same seeds.
    """
    rivals, taught = alone(rows), by_setting(rows)
    if missing := [setting for setting in settings if setting not in taught]:
        raise CourseError(f"the map has no setting {missing[0]}; by_setting(rows) lists them")
    gains = []
    for start, teacher, labels, text in settings:
        runs, own = taught[start, teacher, labels, text], rivals.get((start, labels), ())
        if len(own) != len(runs):
            raise CourseError(
                f"the record has no student alone with {labels} labels for each that is taught; "
                "run `course experiment when-distilling-pays --resume`"
            )
        gains.append(answers(runs) - answers(own))  # (seeds, test sentences)
    together = np.mean(gains, axis=0)
    return compare(
        together,
        np.zeros(together.shape[1]),
        names=("with a teacher", "alone"),
        lower_is_better=False,
    )


def by_setting(rows: Sequence[Row]) -> dict[Taught, list[Results]]:
    """The results of the students that had a teacher, by start, teacher, labels and text; each a
    list by seed."""
    runs: dict[Taught, list[Results]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["seed"]):
        s = row["setting"]
        if s["teacher"] != "none":
            runs[s["start"], s["teacher"], s["labels"], s["unlabelled"]].append(row["results"])
    return dict(runs)


def answers(runs: Sequence[Results]) -> Float[np.ndarray, "runs items"]:
    """1 or 0 for each test sentence, a row a run."""
    return np.stack([unpacked(run["right"], run["n"]) for run in runs])


def _mean(runs: Sequence[Results], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def advise(
    rows: Sequence[Row],
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
    found = [setting for setting in by_setting(rows) if setting[:2] == (start, teacher)]
    if not found:
        raise CourseError(f"the map has no student with {start} layers and a teacher on {teacher}")
    setting = min(found, key=lambda setting: _distance(setting[2:], labels, unlabelled))
    near, gain = setting[2:], gain_over(rows, [setting])
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


def within(rows: Sequence[Row], milliseconds: float | int) -> list[tuple[str, float, float]]:
    """Of the record `distilling-bert`: the models that answer one sentence so quickly.

    Each with its median wait in milliseconds on the machine of the record, and its mean accuracy,
    the most accurate first. Of the ways in which a student was taught that one counts which did
    best on the validation sentences.
    """
    waits: dict[str, list[float]] = defaultdict(list)
    ways: dict[str, dict[str, list[Results]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        setting, results = row["setting"], row["results"]
        for name, taken in results.get("milliseconds", {}).get("1", {}).items():
            waits[name] += taken
        if "rotten_tomatoes" in results:
            way = " ".join(str(value) for key, value in setting.items() if key != "student")
            ways[setting["student"]][way].append(results)
    found = []
    for name in sorted(waits.keys() & ways.keys()):
        best = max(ways[name].values(), key=lambda runs: _mean(runs, "validation_accuracy"))
        accuracy = float(np.mean([run["rotten_tomatoes"]["accuracy"] for run in best]))
        found.append((name, float(np.median(waits[name])), accuracy))
    quick = [model for model in found if model[1] <= milliseconds]
    return sorted(quick, key=lambda model: -model[2])


def quick_enough(rows: Sequence[Row], milliseconds: float | int) -> str:
    """`within` in sentences: which models answer so quickly, and how often they are right.

    Raises CourseError for no time at all.
    """
    if milliseconds <= 0:
        raise CourseError("give a latency above 0 milliseconds")
    found = within(rows, milliseconds)
    if not found:
        return f"Of the models that were measured none answers within {milliseconds:g} ms."
    lines = [f"  {name:<20} {ms:6.1f} ms  {accuracy:.1%}" for name, ms, accuracy in found]
    return "\n".join(
        [f"One sentence within {milliseconds:g} ms, on the machine of the record:", *lines]
    )


def _distance(cell: Cell, labels: int, unlabelled: int) -> float:
    """In factors of ten: how far the asked numbers are from those of a cell."""
    n, text = cell
    by_labels = abs(math.log10(labels / n))
    by_text = abs(math.log10((unlabelled + 300) / (TEXTS[text] + 300)))
    return by_labels + by_text
