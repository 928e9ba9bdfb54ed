"""What is wrong with an answer that matches no known mistake: properties that give it away.

Each diagnosis looks at all the cases that an answer got wrong and returns a sentence, or None.
They are tried in the order of `DIAGNOSES`, from the plainest to the most inferred; a diagnosis
speaks only when it holds for *every* wrong case, so that it never guesses.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.exercises.comparing import as_array, same, written


@dataclass(frozen=True)
class Judged:
    """One input and the two answers to it."""

    inputs: dict[str, Any]  # by argument name
    got: Any
    expected: Any
    right: bool


Diagnosis = Callable[[Sequence[Judged], float], str | None]
FACTORS = {
    math.log(2): "It looks like a logarithm to base 2 where base e is meant, or the reverse",
    1 / math.log(2): "It looks like a logarithm to base 2 where base e is meant, or the reverse",
    math.log(10): "It looks like a logarithm to base 10 where base e is meant, or the reverse",
    1 / math.log(10): "It looks like a logarithm to base 10 where base e is meant, or the reverse",
}


def diagnose(cases: Sequence[Judged], tolerance: float) -> str | None:
    """The first diagnosis that fits every wrong case; None when none does."""
    wrong = [case for case in cases if not case.right]
    for diagnosis in DIAGNOSES:
        if sentence := diagnosis(wrong, tolerance):
            return sentence
    return right_only_when(cases)


def nothing_returned(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if all(case.got is None for case in wrong):
        return "Your answer returns nothing: is a `return` missing?"
    return None


def wrong_kind(wrong: Sequence[Judged], tolerance: float) -> str | None:
    def kind(value: Any) -> str:
        array = as_array(value)
        if array is not None:
            return "a number" if array.ndim == 0 else "a list or array of numbers"
        return f"a {type(value).__name__}"

    kinds = {(kind(case.got), kind(case.expected)) for case in wrong}
    if len(kinds) == 1 and len({*(pair := kinds.pop())}) == 2:
        return f"It should return {pair[1]}, not {pair[0]}."
    return None


def wrong_keys(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if not all(isinstance(c.got, Mapping) and isinstance(c.expected, Mapping) for c in wrong):
        return None
    if all(c.expected.keys() - c.got.keys() for c in wrong):
        missing = next(iter(sorted(wrong[0].expected.keys() - wrong[0].got.keys(), key=repr)))
        return f"Keys are missing from your result, here {written(missing)}."
    if all(c.got.keys() - c.expected.keys() for c in wrong):
        extra = next(iter(sorted(wrong[0].got.keys() - wrong[0].expected.keys(), key=repr)))
        return f"Your result has keys that do not belong there, here {written(extra)}."
    return None


def wrong_shape(wrong: Sequence[Judged], tolerance: float) -> str | None:
    arrays = _arrays(wrong)
    if arrays and all(got.shape != expected.shape for got, expected in arrays):
        got, expected = arrays[0]
        if all(g.T.shape == e.shape and _close(g.T, e, tolerance) for g, e in arrays):
            return "Your result is transposed."
        if got.ndim == expected.ndim == 1:
            return f"Your result has {len(got)} numbers where {len(expected)} are expected."
        return f"Your result has shape {got.shape}, expected is {expected.shape}."
    return None


def transposed(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if _all(wrong, lambda g, e: g.ndim >= 2 and _close(np.swapaxes(g, -1, -2), e, tolerance)):
        return "Your result is transposed."
    return None


def not_finite(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if _all(wrong, lambda g, e: np.isnan(g).any() and not np.isnan(e).any()):
        return "Your result holds NaN: look for 0/0, ∞ − ∞ or the logarithm of a negative number."
    if _all(wrong, lambda g, e: np.isinf(g).any() and not np.isinf(e).any()):
        return "Your result is infinite: look for a division by zero or the logarithm of zero."
    return None


def not_probabilities(wrong: Sequence[Judged], tolerance: float) -> str | None:
    def sums_to_one(x: np.ndarray) -> bool:
        return x.ndim >= 1 and x.size > 0 and bool((x >= 0).all()) and _close(x.sum(-1), 1.0, 1e-6)

    pairs = _arrays(wrong)
    if not pairs or not all(sums_to_one(expected) for _, expected in pairs):
        return None
    if all((got < 0).any() for got, _ in pairs):
        return "A probability cannot be negative."
    if all(not sums_to_one(got) for got, _ in pairs):
        got = pairs[0][0]
        if got.ndim == 2 and _close(got.sum(0), 1.0, 1e-6):
            return "Your columns sum to one, but each row (the last axis) must."
        total = written(got.sum(-1).flat[0].item())
        return f"Probabilities must sum to one; yours sum to {total} here."
    return None


def sign_flipped(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if _all(wrong, lambda g, e: _close(-g, e, tolerance)):
        return "The sign is flipped."
    return None


def log_for_value(wrong: Sequence[Judged], tolerance: float) -> str | None:
    with np.errstate(all="ignore"):
        if _all(wrong, lambda g, e: (e > 0).all() and _close(g, np.log(e), tolerance)):
            return "You return the logarithm of what is asked."
        if _all(wrong, lambda g, e: (g > 0).all() and _close(np.log(g), e, tolerance)):
            return "You return e to the power of what is asked: the logarithm is missing."
        if _all(wrong, lambda g, e: (e != 0).all() and _close(g, 1 / e, tolerance)):
            return "You return one over what is asked."
    return None


def constant_factor(wrong: Sequence[Judged], tolerance: float) -> str | None:
    factor = _common(wrong, np.divide)
    if factor is None or not _all(wrong, lambda g, e: _close(g, e * factor, tolerance * 10)):
        return None
    for known, sentence in FACTORS.items():
        if math.isclose(factor, known, rel_tol=1e-6):
            return f"{sentence}: your numbers are {written(factor)} times the expected ones."
    return f"Your numbers are always {written(factor)} times the expected ones."


def constant_shift(wrong: Sequence[Judged], tolerance: float) -> str | None:
    shift = _common(wrong, np.subtract)
    if shift is not None and _all(wrong, lambda g, e: _close(g, e + shift, tolerance * 10)):
        much = "more" if shift > 0 else "less"
        return f"Your numbers are always {written(abs(shift))} {much} than the expected ones."
    return None


def shifted_by_one(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if _sequences(wrong, lambda g, e: same(list(g[1:]), list(e[:-1]), tolerance)):
        return "Everything stands one place too late: off by one."
    if _sequences(wrong, lambda g, e: same(list(g[:-1]), list(e[1:]), tolerance)):
        return "Everything stands one place too early: off by one."
    if _sequences(wrong, lambda g, e: same(list(g[::-1]), list(e), tolerance)):
        return "Your result is in reverse order."
    if _sequences(wrong, lambda g, e: same(_sorted(g), _sorted(e), tolerance)):
        return "The right values in the wrong order."
    return None


def rounded(wrong: Sequence[Judged], tolerance: float) -> str | None:
    if _all(wrong, lambda g, e: _close(g, np.floor(e), 0.0) or _close(g, np.rint(e), 0.0)):
        return "Your numbers are rounded: is there a `//` or `int` where `/` is meant?"
    return None


def right_only_when(cases: Sequence[Judged]) -> str | None:
    """Always right for one value of one input, as at temperature 1, and often wrong otherwise."""
    for name, value in cases[0].inputs.items():
        if not isinstance(value, int | float | str):
            continue
        for special in dict.fromkeys(case.inputs[name] for case in cases):
            there = [case.right for case in cases if case.inputs[name] == special]
            elsewhere = [case.right for case in cases if case.inputs[name] != special]
            if all(there) and elsewhere:
                by_luck = (sum(elsewhere) / len(elsewhere)) ** len(there)
                if by_luck < 0.001:
                    return f"It is always right when {name} = {written(special)}, not otherwise."
    right = sum(case.right for case in cases)
    if right > 0:
        return f"It is right on {right} of {len(cases)} inputs: a special case is missing."
    return None


DIAGNOSES: list[Diagnosis] = [
    nothing_returned,
    wrong_kind,
    wrong_keys,
    wrong_shape,
    transposed,
    not_finite,
    sign_flipped,
    log_for_value,
    constant_factor,
    constant_shift,
    shifted_by_one,
    rounded,
    not_probabilities,
]


def _numbers(value: Any) -> np.ndarray | None:
    """The numbers of an array, a list, a number or the values of a dict (in the order of keys)."""
    if isinstance(value, Mapping):
        try:
            value = [value[key] for key in sorted(value)]
        except TypeError:  # keys that cannot be sorted
            return None
    array = as_array(value)
    return None if array is None or array.dtype.kind == "c" else array.astype(float)


def _arrays(wrong: Sequence[Judged]) -> list[tuple[np.ndarray, np.ndarray]]:
    """(got, expected) of every wrong case as arrays; empty when one of them is not numbers."""
    pairs = [(_numbers(case.got), _numbers(case.expected)) for case in wrong]
    return [] if any(g is None or e is None for g, e in pairs) else pairs


def _all(wrong: Sequence[Judged], holds: Callable[[np.ndarray, np.ndarray], bool]) -> bool:
    """Whether `holds(got, expected)` for all wrong cases, whose arrays have equal shapes."""
    pairs = _arrays(wrong)
    return bool(pairs) and all(g.shape == e.shape and g.size and holds(g, e) for g, e in pairs)


def _close(a: Any, b: Any, tolerance: float) -> bool:
    return np.ndim(b) in (0, np.ndim(a)) and np.allclose(a, b, tolerance, tolerance)


def _common(wrong: Sequence[Judged], relation: Callable[..., np.ndarray]) -> float | None:
    """relation(got, expected) where it is finite and the same in all wrong cases, and there are
    at least two different expected numbers to tell."""
    pairs = [(g.ravel(), e.ravel()) for g, e in _arrays(wrong) if g.shape == e.shape]
    if not pairs:
        return None
    got, expected = (np.concatenate(side) for side in zip(*pairs, strict=True))
    with np.errstate(all="ignore"):
        values = relation(got, expected)
    values = values[np.isfinite(values)]
    if len(values) == 0 or len(np.unique(expected)) < 2:
        return None
    return float(values[0]) if np.allclose(values, values[0], 1e-6, 1e-9) else None


def _sequences(wrong: Sequence[Judged], holds: Callable[[Any, Any], bool]) -> bool:
    """Whether `holds` for all wrong cases, which are sequences of equal lengths ≥ 2 somewhere."""
    pairs = [(case.got, case.expected) for case in wrong]
    if not all(hasattr(x, "__len__") and hasattr(x, "__getitem__") for p in pairs for x in p):
        return False
    if any(isinstance(x, Mapping) for p in pairs for x in p):
        return False
    return (
        any(len(e) >= 3 for _, e in pairs)
        and all(len(g) == len(e) for g, e in pairs)
        and all(holds(g, e) for g, e in pairs)
    )


def _sorted(values: Any) -> list[Any]:
    try:
        return sorted(values)
    except (TypeError, ValueError):
        return [object()]
