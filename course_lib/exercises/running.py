"""One call of an answer: what came out, or what went wrong, without side effects on the page.

Answers are called on copies of their inputs, with prints and warnings silenced. A call that
raises gives an outcome like any other, so that an error can be compared with the expected one.
"""

import contextlib
import copy
import io
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from course_lib.exercises.comparing import same

UNCHANGEABLE = (str, bytes, int, float, frozenset, type(None))


class TooSlow(BaseException):
    """Raised inside an answer that used up its time; no `except Exception` swallows it."""


@dataclass(frozen=True)
class Outcome:
    value: Any = None
    error: Exception | None = None  # what the call raised
    changed: int | None = None  # position of an input that the call changed


def run(function: Callable[..., Any], inputs: tuple[Any, ...]) -> Outcome:
    """Call the function on copies of the inputs. Raises TooSlow, nothing else."""
    arguments = copy.deepcopy(inputs)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            value = function(*arguments)
        except Exception as error:
            return Outcome(error=error)
    for position, (before, after) in enumerate(zip(inputs, arguments, strict=True)):
        if not isinstance(before, UNCHANGEABLE) and not same(after, before, tolerance=0.0):
            return Outcome(value, changed=position)
    return Outcome(value)


def same_outcome(got: Outcome, expected: Outcome, tolerance: float) -> bool:
    """Whether two calls gave the same value, or raised the same kind of error."""
    if got.error is not None or expected.error is not None:
        return type(got.error) is type(expected.error)
    return got.changed == expected.changed and same(got.value, expected.value, tolerance)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow inside the block once it has computed this long (or waited six times as long).

    What counts is this thread's own computing time, so that a machine with other work to do does
    not fail a right answer. Uses the operating system's alarm, so it works in the main thread on
    Linux and macOS (where notebooks run their cells) and sets no limit elsewhere.
    """
    if not hasattr(signal, "setitimer") or (
        threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    computed, waited = time.thread_time() + seconds, time.monotonic() + 6 * seconds

    def stop(signum: int, frame: Any) -> None:
        if time.thread_time() >= computed or time.monotonic() >= waited:
            raise TooSlow

    every = min(seconds / 10, 1.0)
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, every, every)  # and goes on, if TooSlow is swallowed
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
