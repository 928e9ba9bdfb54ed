"""Recorded experiments: what takes minutes to hours is run once, and its record is read by pages.

An experiment is a file in experiments/ that defines an `Experiment` called EXPERIMENT. `course
experiment NAME` makes its runs, one for each setting and seed, and writes experiments/NAME.jsonl,
one line a run. `load_record` gives a page those lines; the page draws them, and repeats one slice
live.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.errors import CourseError
from course_lib.evidence import clone_folder, note_read

RECORDS = "experiments"  # the folder of the experiments and their records

Setting = dict[str, Any]  # one choice in the grid, of what JSON can hold
Row = dict[str, Any]  # one run: "setting", "seed", "results", "machine", "seconds", …


@dataclass(frozen=True)
class Experiment:
    """A question, and the runs that answer it: every setting of the grid with every seed."""

    name: str  # as one types it: gpt-on-the-ladder
    question: str
    grid: tuple[Setting, ...]
    seeds: int  # runs of each setting, with seeds 0, 1, …
    # (setting, seed, folder) → results that JSON can hold. What the run leaves in the folder is
    # there again when a run that was killed is made anew.
    run: Callable[[Setting, int, Path], dict[str, Any]]
    # setting → a few numbers from the first moments of its run with seed 0. The same code gives
    # the same numbers: that is how a record is kept when only the code's form has changed.
    probe: Callable[[Setting], list[float]]
    texts: tuple[str, ...] = ("shakespeare",)  # corpora whose SHA-256 goes into the record


def record_file(root: Path, name: str) -> Path:
    """Where the record of the experiment called `name` is kept in the clone `root`."""
    return root / RECORDS / f"{name.replace('-', '_')}.jsonl"


def read_rows(file: Path) -> list[Row]:
    """The lines of a record. Raises CourseError for a file that is missing or damaged."""
    try:
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        name = file.stem.replace("_", "-")
        raise CourseError(f"there is no record of {name}; run `course experiment {name}`") from None
    except ValueError as error:
        raise CourseError(
            f"{file} is damaged ({error}); restore it with `git checkout {file.name}`"
        ) from None


def measured(row: Row) -> dict[str, Any]:
    """What a page may read of a run: without the stamps of the code that made it."""
    return {key: row[key] for key in ("setting", "seed", "results", "seconds", "machine")}


def load_record(name: str) -> list[Row]:
    """The runs of a recorded experiment; the page that asks is stale once they change.

    Raises CourseError where the record is missing or damaged.
    """
    rows = read_rows(record_file(clone_folder(), name))
    note_read(f"{RECORDS}/{name}")
    return [measured(row) for row in rows]
