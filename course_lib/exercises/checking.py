"""`check("01.3", answer)` in a notebook: full marks, or the smallest case that goes wrong and why.

A blank stub is "not answered yet". A wrong answer *raises*, so that no tool can mistake it for
a right one; the error is a single line with the smallest counter-example, the sentence of the
known mistake it matches (or a diagnosis of its properties), and where to find a hint.

Everything is deterministic: inputs are drawn from a fixed seed, the same on every machine.
"""

import contextlib
import inspect
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

# Where hypothesis keeps its tables; without this it makes a folder beside the notebook.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir()) / "course_lib-hypothesis")
)

import hypothesis
from hypothesis.errors import Flaky, NoSuchExample

from course_lib.errors import CourseError
from course_lib.exercises.comparing import written, written_apart
from course_lib.exercises.diagnoses import Judged, diagnose
from course_lib.exercises.exercise import Exercise, find, parts
from course_lib.exercises.prohibited import prohibited_name
from course_lib.exercises.running import Outcome, TooSlow, run, same_outcome, time_limit

SECONDS = 10.0  # of computing for all inputs together; references take a fraction of a second
BYTES = 2048  # of chance for one draw: more than any exercise's inputs need
SHRINKING_SECONDS = 3.0  # of computing, after which the smallest case so far has to do


class WrongAnswer(Exception):
    """The answer is wrong; the message says where and why."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the message, without a traceback through this library."""
        return [str(self)]


@dataclass(frozen=True)
class Verdict:
    status: Literal["correct", "wrong", "not answered"]
    points: int
    message: str  # one line


@dataclass(frozen=True)
class Case:
    """One generated input and what the reference makes of it."""

    inputs: tuple[Any, ...]
    expected: Outcome


def check(exercise_id: str, *answer: Any) -> None:
    """Check an answer and print its points.

    Prints "01.3 not answered yet, 0/3" when the answer raises NotImplementedError, as a blank
    stub does, and "01.3 correct, 3/3" when it is right. Raises WrongAnswer when it is not, and
    CourseError when there is no such exercise.
    """
    verdict = judge(find(exercise_id), answer)
    if verdict.status == "wrong":
        raise WrongAnswer(verdict.message)
    print(verdict.message)


def hint(exercise_id: str, level: int = 1) -> None:
    """Print a hint; each level says more than the one before. Raises CourseError past the last."""
    exercise = find(exercise_id)
    count = len(exercise.hints)
    if not 1 <= level <= count:
        raise CourseError(f"{exercise_id} has hints 1 to {count}; ask for one of these")
    then = f'hint("{exercise_id}", {level + 1})' if level < count else "the solutions page"
    print(f"Hint {level} of {count}: {exercise.hints[level - 1]} (Next: {then}.)")


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """The verdict on an answer: never raises, whatever the answer does."""
    if reason := _unusable(exercise, parts(answer)):
        return _wrong(exercise, reason)
    function, outcomes = exercise.as_function(answer), []
    (inputs,) = draw(exercise.inputs, 1)
    try:
        with time_limit(SECONDS):
            if isinstance(run(function, inputs).error, NotImplementedError):
                return Verdict("not answered", 0, exercise.no_answer)
        cases = cases_of(exercise)
        with time_limit(SECONDS):
            for case in cases:
                inputs = case.inputs
                outcomes.append(run(function, inputs))
    except TooSlow:
        where = _described(exercise, inputs)
        return _wrong(
            exercise,
            f"for {where} your answer was still running after {SECONDS:g} seconds: does a loop "
            "never end?",
        )
    right = [
        same_outcome(outcome, case.expected, exercise.tolerance)
        for case, outcome in zip(cases, outcomes, strict=True)
    ]
    if all(right):
        return Verdict("correct", exercise.points, exercise.full_marks)
    failing = [case.inputs for case, is_right in zip(cases, right, strict=True) if not is_right]
    smallest = _smallest_counter_example(exercise, function, min(failing, key=_length))
    shown, got = cases_on(exercise, [smallest])[0], run(function, smallest)
    reason = _known_mistake(exercise, cases, outcomes, right) or _diagnosis(
        exercise, cases, outcomes, right, shown, got
    )
    return _wrong(exercise, f"{_counter_example(exercise, shown, got)} {reason}".rstrip())


def cases_of(exercise: Exercise) -> list[Case]:
    """The inputs on which answers are compared with the reference, the same at each call."""
    if exercise not in _CASES:
        _CASES[exercise] = cases_on(exercise, draw(exercise.inputs, exercise.n_inputs))
    return _CASES[exercise]


_CASES: dict[Exercise, list[Case]] = {}


def cases_on(exercise: Exercise, inputs: Sequence[tuple[Any, ...]]) -> list[Case]:
    """Each of these inputs with what the reference makes of it."""
    reference = exercise.as_function(exercise.reference)
    return [Case(each, run(reference, each)) for each in inputs]


def draw(strategy: Any, count: int) -> list[Any]:
    """`count` draws of a strategy, the same everywhere (fewer if it filters nearly all out).

    Random bytes from a fixed seed decide each draw. Hypothesis's own search would prefer constants
    that it finds in whatever modules happen to be imported, and so differ from place to place.
    """
    drawn: list[Any] = []

    @hypothesis.settings(database=None, deadline=None)
    @hypothesis.given(strategy)
    def keep(inputs: Any) -> None:
        drawn.append(inputs)

    random = Random(0)
    for _ in range(20 * count):
        if len(drawn) == count:
            break
        keep.hypothesis.fuzz_one_input(random.randbytes(BYTES))
    return drawn


def same_everywhere(exercise: Exercise, answer: Any, outcomes: Sequence[Outcome]) -> list[bool]:
    """For each case, whether this answer gives the same outcome."""
    function = exercise.as_function(answer)
    return [
        same_outcome(run(function, case.inputs), outcome, exercise.tolerance)
        for case, outcome in zip(cases_of(exercise), outcomes, strict=True)
    ]


def _search(strategy: Any, condition: Any, count: int) -> None:
    """Let hypothesis draw inputs until the condition holds, then shrink the one that met it."""
    settings = hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    # No such input, or a search that ran out of time: the condition has kept what it saw.
    with contextlib.suppress(NoSuchExample, Flaky):
        hypothesis.find(strategy, condition, settings=settings, random=Random(0))


def _length(inputs: tuple[Any, ...]) -> int:
    return len(repr(inputs))


def _smallest_counter_example(
    exercise: Exercise, function: Any, known: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Shrink to the smallest input on which the function is wrong.

    `known` is one such input, in case the search finds none.
    """
    reference = exercise.as_function(exercise.reference)
    failing = [known]
    until = time.thread_time() + SHRINKING_SECONDS

    def fails(inputs: tuple[Any, ...]) -> bool:
        if time.thread_time() > until:
            return False
        agrees = same_outcome(run(function, inputs), run(reference, inputs), exercise.tolerance)
        if not agrees:
            failing.append(inputs)
        return not agrees

    try:
        with time_limit(SECONDS):
            _search(exercise.inputs, fails, exercise.n_inputs)
    except TooSlow:
        pass  # a looping case on the way down: keep the last one that ended
    return failing[-1]


def _counter_example(exercise: Exercise, shown: Case, got: Outcome) -> str:
    """The input, what the answer made of it and what was expected."""
    expected, where = shown.expected, _described(exercise, shown.inputs)
    if got.error is not None:
        line = " ".join(f"{type(got.error).__name__}: {got.error}".split()).rstrip(": ")
        return f"for {where} your answer raised {line}; expected {_told(expected)}."
    if got.changed is not None:
        name = _names(exercise)[got.changed]
        return f"for {where} your answer changed its input {name}: work on a copy of it."
    if expected.error is not None:
        return f"for {where} you returned {written(got.value)}, expected {_told(expected)}."
    pair = written_apart(got.value, expected.value)
    return f"for {where} you returned {pair[0]}, expected {pair[1]}."


def _told(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{type(outcome.error).__name__}"
    return written(outcome.value)


def _known_mistake(
    exercise: Exercise, cases: list[Case], outcomes: list[Outcome], right: list[bool]
) -> str | None:
    """The sentence of the mistake that gives the same outcomes, everywhere or wherever the
    answer is wrong (then only if no other mistake does)."""
    candidates = []
    for mistake, sentence in exercise.mistakes.items():
        alike = same_everywhere(exercise, mistake, outcomes)
        if all(alike):
            return sentence
        if all(a for a, is_right in zip(alike, right, strict=True) if not is_right):
            candidates.append(sentence)
    return candidates[0] if len(candidates) == 1 and right.count(False) >= 5 else None


def _diagnosis(
    exercise: Exercise,
    cases: list[Case],
    outcomes: list[Outcome],
    right: list[bool],
    shown: Case,
    got: Outcome,
) -> str:
    """What all wrong cases have in common; "here" in it is the case that is shown."""
    names = _names(exercise)
    if any(o.error or o.changed is not None for o in (got, *outcomes)) or any(
        case.expected.error for case in (shown, *cases)
    ):
        return ""
    judged = [
        Judged(dict(zip(names, case.inputs, strict=True)), got.value, case.expected.value, is_right)
        for case, got, is_right in zip(
            (shown, *cases), (got, *outcomes), (False, *right), strict=True
        )
    ]
    return diagnose(judged[1:], judged[0], exercise.tolerance) or ""


def _unusable(exercise: Exercise, answer: tuple[Any, ...]) -> str | None:
    """Why the answer cannot be run at all, or uses what the exercise rules out."""
    expected = len(parts(exercise.reference))
    if len(answer) != expected:
        return f"check it with {exercise.check_cell}."
    for part, reference in zip(answer, parts(exercise.reference), strict=True):
        if not callable(part) and not isinstance(part, str):
            kind = type(part).__name__
            return f"{reference.__name__} should be a function or class, not {kind}."
        try:
            name = prohibited_name(part, exercise.without)
        except SyntaxError as error:
            return f"your code is not valid Python: {error.msg} in line {error.lineno}."
        if name is not None:
            return f"your answer uses {name}, which this exercise rules out: write it yourself."
    return None


def _wrong(exercise: Exercise, reason: str) -> Verdict:
    message = f'{exercise.id} wrong, 0/{exercise.points}: {reason} Stuck? hint("{exercise.id}")'
    return Verdict("wrong", 0, message)


def _described(exercise: Exercise, inputs: tuple[Any, ...]) -> str:
    pairs = zip(_names(exercise), inputs, strict=True)
    return ", ".join(f"{name} = {written(value, sort_keys=False)}" for name, value in pairs)


def _names(exercise: Exercise) -> list[str]:
    """The inputs' names: the parameters of the reference as a function."""
    function = exercise.as_function(exercise.reference)
    return list(inspect.signature(function).parameters)
