"""`course check NOTEBOOK`: how many points a learner's notebook has, measured by nbval.

A wrong answer that was run and saved would pass nbval, because its stored output equals its new
one. So a copy is made in which every check cell is the pristine one, with the output of a right
answer stored under it, and nbval runs that copy on a fresh kernel. The learner's file is read
only. What the check cells are is known to the exercises themselves, so this works anywhere.
"""

import importlib.util
import re
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat

from course_lib.errors import CourseError
from course_lib.exercises.exercise import Exercise, modules, of_chapter
from course_lib.publishing.nbval import nbval_command, nbval_environment

CHECK_CELL = re.compile(r"^\s*check\(\s*[\"'](\d\d\.\d+)[\"']", re.MULTILINE)
IMPORT = "from course_lib.exercises.checking import check\n"  # in case `check` was overwritten


@dataclass(frozen=True)
class Result:
    """What became of one exercise."""

    exercise: Exercise
    status: Literal["correct", "wrong", "not answered"]
    message: str  # one line

    @property
    def points(self) -> int:
        """All of the exercise's points or none."""
        return self.exercise.points if self.status == "correct" else 0


@dataclass(frozen=True)
class NotebookReport:
    """The results of a notebook, one for each exercise of its chapter. `str()` is a table."""

    chapter: str
    results: tuple[Result, ...]

    @property
    def points(self) -> int:
        """Points earned."""
        return sum(result.points for result in self.results)

    @property
    def out_of(self) -> int:
        """Points there are, electives included."""
        return sum(result.exercise.points for result in self.results)

    @property
    def passed(self) -> bool:
        """Whether every core exercise is right."""
        return all(r.status == "correct" for r in self.results if not r.exercise.elective)

    def __str__(self) -> str:
        lines = [result.message for result in self.results]
        return "\n".join([*lines, f"chapter {self.chapter}: {self.points}/{self.out_of} points"])


def check_notebook(path: str | Path, seconds: int = 120) -> NotebookReport:
    """Check every exercise in a learner's notebook, without changing it.

    `seconds` is how long one cell may run. Raises CourseError when the file is not a notebook,
    has no exercises of this course or those of several chapters, or when nbval is not installed.
    """
    notebook = _read(Path(path))
    exercises = _exercises_in(notebook, Path(path))
    places = _mend(notebook, exercises)
    if importlib.util.find_spec("nbval") is None:
        raise CourseError("nbval is not installed; run: pip install nbval pytest ipykernel")
    failures = _nbval(notebook, seconds)
    results = tuple(_result(exercise, places, failures) for exercise in exercises)
    return NotebookReport(exercises[0].chapter, results)


def _read(path: Path) -> Any:
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except FileNotFoundError:
        raise CourseError(f"there is no file {path}; give the path of a notebook") from None
    except OSError as error:
        raise CourseError(f"cannot read {path}: {error.strerror}") from None
    except Exception:
        raise CourseError(f"{path} is not a notebook; give an .ipynb file") from None
    return notebook


def _exercises_in(notebook: Any, path: Path) -> list[Exercise]:
    """All exercises of the one chapter that the notebook's check cells belong to."""
    found = {id for cell in notebook.cells if (id := _checked(cell))}
    numbers = sorted({id.split(".")[0] for id in found})
    if not found:
        raise CourseError(
            f'{path} has no check cells such as check("01.1", …); '
            "start from a chapter's exercises.ipynb"
        )
    if len(numbers) > 1:
        raise CourseError(f"{path} mixes chapters {', '.join(numbers)}; check one at a time")
    if numbers[0] not in modules():
        raise CourseError(f"{path} checks {min(found)}, but no chapter {numbers[0]} has exercises")
    exercises = of_chapter(numbers[0])
    if unknown := sorted(found - {exercise.id for exercise in exercises}):
        raise CourseError(f"{path} checks {', '.join(unknown)}, which chapter {numbers[0]} lacks")
    return exercises


def _checked(cell: Any) -> str | None:
    """The exercise that this cell checks."""
    if cell.cell_type != "code":
        return None
    for tag in cell.metadata.get("tags", []):
        if re.fullmatch(r"check-\d\d\.\d+", tag):
            return tag.removeprefix("check-")
    match = CHECK_CELL.search(cell.source)
    return match[1] if match else None


def _mend(notebook: Any, exercises: list[Exercise]) -> dict[str, int]:
    """Put pristine check cells with passing outputs in place of the learner's, at the end where
    the learner has removed one. Returns which code cell (counted from 0) checks which exercise."""
    last = {id: number for number, cell in enumerate(notebook.cells) if (id := _checked(cell))}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            checked = _checked(cell)
            if checked and last[checked] != number:
                cell.source = "pass"  # only the last check of an exercise counts
            cell.outputs, cell.execution_count, cell.metadata = [], None, {}
    for exercise in exercises:
        if exercise.id not in last:
            last[exercise.id] = len(notebook.cells)
            notebook.cells.append(nbformat.v4.new_code_cell())
        cell = notebook.cells[last[exercise.id]]
        cell.source = IMPORT + exercise.check_cell
        cell.metadata = {"tags": ["nbval-check-output"]}
        cell.execution_count = 1  # nbval compares only cells that were run
        cell.outputs = [
            nbformat.v4.new_output("stream", name="stdout", text=exercise.full_marks + "\n")
        ]
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    return {id: code.index(number) for id, number in last.items()}


def _nbval(notebook: Any, seconds: int) -> dict[int, str]:
    """Run nbval on the notebook; for each code cell that failed, what nbval says."""
    with tempfile.TemporaryDirectory() as folder:
        copy, report = Path(folder, "answers.ipynb"), Path(folder, "report.xml")
        nbformat.write(notebook, copy)
        options = ["--color=no", f"--rootdir={folder}", f"--junitxml={report}", str(copy)]
        done = subprocess.run(
            nbval_command(*options, cell_timeout=seconds),
            cwd=folder,
            env=nbval_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise CourseError(f"nbval did not run: {' '.join(last) or 'no message'}")
        failures = {}
        for case in ElementTree.parse(report).iter("testcase"):
            for kind in ("failure", "error", "skipped"):
                for failure in case.findall(kind):
                    text = failure.text or failure.get("message", "")
                    name = re.fullmatch(r"Cell (\d+)", case.get("name", ""))
                    if name is None:
                        raise CourseError(f"nbval could not read the notebook: {text[:200]}")
                    failures[int(name[1])] = re.sub(r"(#x1B|\x1b)\[[0-9;]*m", "", text)
    return failures


def _result(exercise: Exercise, places: dict[str, int], failures: dict[int, str]) -> Result:
    place = places[exercise.id]
    if place not in failures:
        return Result(exercise, "correct", exercise.full_marks)
    said = failures[place]
    if exercise.no_answer in said:
        return Result(exercise, "not answered", exercise.no_answer)
    last = next((line for line in reversed(said.splitlines()) if line.strip()), "").strip()
    if last.startswith(f"{exercise.id} wrong"):
        return Result(exercise, "wrong", last)
    if "Previous cell timed out" in said:
        last = "not reached, because an earlier cell never ended, or ended the kernel (exit?)"
    elif "Timeout" in said:
        last = "the cell ran too long and was stopped"
    elif "Kernel dead" in said:
        last = "not reached, because an earlier cell ended the kernel"
    elif (earlier := _broken_before(place, places, failures)) is not None:
        last = f"{last} (the cell of the answer failed: {earlier})"
    return Result(exercise, "wrong", f"{exercise.id} wrong, 0/{exercise.points}: {last}")


def _broken_before(place: int, places: dict[str, int], failures: dict[int, str]) -> str | None:
    """The error of the nearest failing cell between the previous check and this one."""
    start = max((other for other in places.values() if other < place), default=-1)
    for number in range(place - 1, start, -1):
        if number in failures:
            return failures[number].strip().splitlines()[-1].strip()
    return None
