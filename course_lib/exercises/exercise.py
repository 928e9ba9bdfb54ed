"""What an exercise is, and finding one by its id.

An exercise of chapter NN lives in `course_lib/exercises/chNN_*.py`, in that module's list
`EXERCISES`. It holds what is asked (title, objective, hints), the reference answer, a hypothesis
strategy that draws inputs, and the known mistakes. Everything else follows from these: the check
(`checking.py`), the solutions page (`publishing/solutions.py`) and the proofs in `tests/exercises`.

An answer is a function or a class, or several of them (an encoder and its decoder). Where it is
more than a pure function of the inputs, `adapter` turns it into one (`adapters.py`).
"""

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis.strategies import SearchStrategy

import course_lib.exercises
from course_lib.errors import CourseError

Part = Callable[..., Any] | str  # a function, a class, or repaired code as text
Answer = Part | tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Exercise:
    id: str  # chapter and number: "01.3"
    title: str
    objective: str  # "You can …": what solving it proves
    points: int
    minutes: int
    difficulty: int  # 1 (the formula is on the page) to 3 (needs an idea of your own)
    reference: Answer
    inputs: SearchStrategy[tuple[Any, ...]]  # draws the arguments; a failing case shrinks
    mistakes: Mapping[Answer, str]  # wrong answer -> the sentence that explains it
    hints: tuple[str, ...]  # each more explicit than the one before
    tolerance: float = 1e-9  # absolute and relative, for numbers that are not exact
    without: tuple[str, ...] = ()  # dotted names that the answer may not use
    elective: bool = False
    adapter: Callable[..., Callable[..., Any]] | None = None  # answer -> pure function of inputs
    n_inputs: int = 200  # inputs on which an answer must be right

    @property
    def chapter(self) -> str:
        """The two digits before the dot."""
        return self.id.split(".")[0]

    @property
    def check_cell(self) -> str:
        """The code that checks the answer in a notebook, e.g. `check("01.3", add_k)`."""
        names = ", ".join(part.__name__ for part in parts(self.reference))
        return f'check("{self.id}", {names})'

    @property
    def full_marks(self) -> str:
        """What `check` prints for a right answer."""
        return f"{self.id} correct, {self.points}/{self.points}"

    @property
    def no_answer(self) -> str:
        """What `check` prints for a blank stub."""
        return f"{self.id} not answered yet, 0/{self.points}"

    def as_function(self, answer: Any) -> Callable[..., Any]:
        """The answer as a pure function of the generated inputs."""
        if self.adapter is not None:
            return self.adapter(*parts(answer))
        (function,) = parts(answer)
        return function


def parts(answer: Any) -> tuple[Any, ...]:
    """The functions or classes of an answer, which may be one or several."""
    return answer if isinstance(answer, tuple) else (answer,)


@functools.cache
def modules() -> dict[str, str]:
    """The module of each chapter's exercises: `{"01": "course_lib.exercises.ch01_…", ...}`."""
    names = (module.name for module in pkgutil.iter_modules(course_lib.exercises.__path__))
    numbered = ((re.fullmatch(r"ch(\d\d)_\w+", name), name) for name in names)
    return {match[1]: f"course_lib.exercises.{name}" for match, name in numbered if match}


def of_chapter(chapter: str) -> list[Exercise]:
    """The exercises of a chapter ("01"). Only its own module is imported: chapter 01 needs no
    torch."""
    if chapter not in modules():
        have = ", ".join(modules())
        raise CourseError(f"no exercises for chapter {chapter!r}; there are some for {have}")
    return importlib.import_module(modules()[chapter]).EXERCISES


def chapters() -> dict[str, list[Exercise]]:
    """All exercises there are, by chapter: `{"01": [...], ...}`."""
    return {chapter: of_chapter(chapter) for chapter in modules()}


def find(exercise_id: str) -> Exercise:
    """The exercise with this id; a CourseError lists the ids of its chapter when there is none."""
    known = of_chapter(exercise_id.split(".")[0])
    for exercise in known:
        if exercise.id == exercise_id:
            return exercise
    ids = ", ".join(exercise.id for exercise in known)
    raise CourseError(f"no exercise {exercise_id!r}: this chapter has {ids}")
