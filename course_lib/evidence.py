"""Evidence: sentences that carry their numbers, comparisons that carry their intervals.

`claim` prints a sentence with the numbers a cell has just measured, and holds it: where the book is
made or tested (COURSE_STRICT=1) a false claim fails the notebook; on a reader's own machine it says
"not reproduced here" and goes on. `compare` says whether one model is better than another, with a
paired interval. `predict` asks for a guess before the result. `record` and `load` hand results from
one page to the next through `results.json`, which only `course refresh` writes.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from course_lib.errors import CourseError
from course_lib.files import write_atomically

RESULTS = "results.json"  # one in each chapter's folder, beside its notebooks


# ---------------------------------------------------------------------------------------- claim


def claim(statement: str, condition: bool, *, because: str = "", **measured: Any) -> None:
    """Say `statement`, with the `measured` numbers in its {braces}, and hold it to `condition`.

    `because` is the likeliest reason why another machine may see something else; it is shown to a
    reader whose run does not bear the claim out, beside the numbers that the page has.

    Raises AssertionError for a false claim where COURSE_STRICT=1 (nbval, `course refresh`).
    """
    sentence = statement.format(**measured)
    _remember_claim(statement, measured)
    if condition:
        print(f"✓ {sentence}")
        return
    if strict():
        raise AssertionError(f"false claim: {sentence}")
    print(f"not reproduced here: {sentence}")
    for name, value in measured.items():
        page = _page_value(statement, name)
        print(f"  {name}: you got {_show(value)}" + (f"; the page has {page}" if page else ""))
    print(f"  likely because {because or 'of another machine or other library versions'}")


def strict() -> bool:
    """True while nbval or `course refresh` runs the notebook: a false claim then fails."""
    return os.environ.get("COURSE_STRICT") == "1"


# -------------------------------------------------------------------------------------- compare


@dataclass(frozen=True)
class Comparison:
    """a − b with its paired interval, and what that says of a: win, tie or loss."""

    difference: float
    low: float
    high: float
    verdict: str  # of the first method: "win", "tie" (the interval holds 0) or "loss"
    names: tuple[str, str]
    items: int  # blocks or examples that both were scored on
    seeds: tuple[int, int]  # runs of each; with one, the interval is over the items alone
    confidence: float

    def __format__(self, spec: str) -> str:
        spec = spec or "+.3f"
        return f"{self.difference:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        a, b = self.names
        said = {"win": f"{a} beats {b}", "tie": f"{a} and {b} tie", "loss": f"{a} loses to {b}"}
        seeds = "" if self.seeds == (1, 1) else f", {self.seeds[0]} and {self.seeds[1]} seeds"
        over = f"{self.confidence:.0%} interval over {self.items:,} items{seeds}"
        return f"{said[self.verdict]}: {format(self)} ({over})"


def compare(
    a: Float[np.ndarray, "*seeds_a items"] | Sequence[float],
    b: Float[np.ndarray, "*seeds_b items"] | Sequence[float],
    *,
    names: tuple[str, str] = ("a", "b"),
    lower_is_better: bool = True,
    confidence: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Comparison:
    """The mean of a − b over items scored by both, with the interval that 95 % of such hold it in.

    `a` and `b` hold one score an item (a block's loss, an example's 0/1), or one row of them a
    seed. Items are drawn with replacement, in pairs: the hard block is hard for both, and pairing
    takes that common part out of the interval (the percentile bootstrap; Efron & Tibshirani 1993,
    chapter 13). Seeds are few, and resampling few numbers gives too narrow an interval; so each
    method's mean over seeds is moved by Student's t · s / √seeds, where s is the spread of its
    runs. Where a row of `a` and the same row of `b` belong together (one network, alone and in a
    mixture), compare their difference with zeros.

    Raises CourseError when the two were not scored on the same number of items, or on fewer than
    two, or a score is not finite.
    """
    A, B = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if A.shape[1] != B.shape[1]:
        raise CourseError(
            f"compare() pairs items: {names[0]} has {A.shape[1]} of them and {names[1]} "
            f"{B.shape[1]}; score both on the same items, in the same order"
        )
    if A.shape[1] < 2:
        raise CourseError("compare() needs at least two items to say how sure it is")
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        raise CourseError(
            "compare() needs finite scores: find the item with a nan or an infinite loss first"
        )
    rng = np.random.default_rng(seed)
    (S_a, n), (S_b, _) = A.shape, B.shape
    d = A.mean(0) - B.mean(0)  # (n,): the same items for both
    differences = np.array([d[rng.integers(n, size=n)].mean() for _ in range(resamples)])
    differences += _another_runs_luck(A, resamples, rng) - _another_runs_luck(B, resamples, rng)
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    better = high < 0 if lower_is_better else low > 0
    worse = low > 0 if lower_is_better else high < 0
    return Comparison(
        difference=float(A.mean() - B.mean()),
        low=float(low),
        high=float(high),
        verdict="win" if better else "loss" if worse else "tie",
        names=names,
        items=n,
        seeds=(S_a, S_b),
        confidence=confidence,
    )


def _another_runs_luck(
    scores: Float[np.ndarray, "seeds items"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """How far the mean over all possible seeds may lie from the mean over these."""
    n_seeds = len(scores)
    if n_seeds == 1:
        return np.zeros(draws)
    standard_error = scores.mean(1).std(ddof=1) / math.sqrt(n_seeds)
    return standard_error * rng.standard_t(n_seeds - 1, size=draws)


# -------------------------------------------------------------------------------------- predict


@dataclass(frozen=True)
class Prediction:
    """A guess made before the result is seen; `reveal` sets the two side by side."""

    question: str
    guess: float | int | None
    unit: str

    def reveal(self, measured: float | int, digits: int = 3) -> None:
        """Print what was measured, and how far the guess was from it."""
        found = f"measured: {measured:.{digits}g}{self.unit}"
        if self.guess is None:
            print(found)
        else:
            off = abs(self.guess - measured)
            print(f"you guessed {self.guess:g}{self.unit}; {found} (off by {off:.{digits}g})")


def predict(question: str, guess: float | int | None = None, unit: str = "") -> Prediction:
    """Ask for a guess before a result; a learner types it in as `guess=` and runs the cell again.

    A guess, even a wrong one, makes the answer easier to remember than reading it does (Richland,
    Kornell & Kao, 2009).
    """
    unit = f" {unit}" if unit and unit != "%" else unit
    print(f"Your guess first: {question}")
    if guess is None:
        print("(write it into the brackets, as predict(…, guess=13), and run this cell again)")
    else:
        print(f"Your guess: {guess:g}{unit}")
    return Prediction(question, guess, unit)


# ------------------------------------------------------------------------------ record and load


def record(**results: Any) -> None:
    """Hand `results` (numbers, strings, lists, dicts, arrays, dataclasses) on to other pages.

    Written to the chapter's results.json while `course refresh` runs the notebook; a learner's or
    a test's run leaves that file as it is.
    """
    if (target := _results_being_written()) is not None:
        _update(target, "results", {name: _plain(value) for name, value in results.items()})


def load(page: str, name: str) -> Any:
    """What `page` (chapter and page, as "01_language_models/2_smoothing") recorded as `name`."""
    chapter, _, stem = page.partition("/")
    file = clone_folder() / "chapters" / chapter / RESULTS
    pages = json.loads(file.read_text("utf-8")) if file.exists() else {}
    results = pages.get(stem, {}).get("results", {})
    if name not in results:
        have = ", ".join(results) or "nothing"
        raise CourseError(
            f"{page} has recorded {have}; for {name!r}, run `course refresh {chapter}`"
        )
    note_read(f"{page}/{name}")
    return results[name]


def note_read(what: str) -> None:
    """Put down, while `course refresh` runs a page, that the page depends on the record `what`."""
    if (target := _results_being_written()) is not None:
        _update(target, "reads", {what: None})


def _results_being_written() -> Path | None:
    """The file that `course refresh` collects this run's records in; None in any other run."""
    file = os.environ.get("COURSE_RESULTS")
    return Path(file) if file else None


def _update(file: Path, section: str, entries: Mapping[str, Any]) -> None:
    content = json.loads(file.read_text("utf-8")) if file.exists() else {}
    content.setdefault(section, {}).update(entries)
    write_atomically(file, json.dumps(content, ensure_ascii=False))


def _remember_claim(statement: str, measured: Mapping[str, Any]) -> None:
    if (target := _results_being_written()) is not None:
        claims = json.loads(target.read_text("utf-8")).get("claims", {}) if target.exists() else {}
        if statement in claims:
            raise CourseError(f"this page makes the claim {statement!r} twice; reword one of them")
        shown = {name: _show(value) for name, value in measured.items()}
        _update(target, "claims", {statement: shown})


def _page_value(statement: str, name: str) -> str:
    """What the page printed for this claim, where the notebook runs beside its results.json."""
    file = Path(RESULTS)
    try:
        pages = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):  # not there, or damaged: a learner's claim goes on without it
        return ""
    for page in pages.values():
        if statement in (claims := page.get("claims", {})):
            return claims[statement].get(name, "")
    return ""


def clone_folder() -> Path:
    """The clone of the course that one works in. Raises CourseError outside of any."""
    for folder in [Path.cwd(), *Path.cwd().parents]:
        if (folder / "chapters").is_dir():
            return folder
    raise CourseError(
        "results of other pages are in a clone of the course: run this notebook inside one"
    )


def _show(value: Any) -> str:
    if isinstance(value, Comparison):
        half = (value.high - value.low) / 2
        return f"{value.difference:+.4g} ± {half:.2g}"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise CourseError(
        f"record() cannot keep a {type(value).__name__}: make it numbers, text or lists"
    )
