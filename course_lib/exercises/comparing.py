"""When two answers are the same, and how a value is written in a message.

Lists, tuples, arrays and tensors are compared by their numbers and shape, whatever holds them:
a check must not care how an answer is organised. Whole numbers and fractions are compared
exactly, other numbers within a tolerance that is both absolute and relative.
"""

import math
import numbers
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

LONGEST = 160  # characters of one value in a message


def as_numpy(value: Any) -> Any:
    """A torch tensor (or anything that can detach like one) as an array; the rest unchanged."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy()


def as_array(value: Any) -> np.ndarray | None:
    """The value as an array of numbers or booleans; None when it is something else."""
    value = as_numpy(value)
    if not isinstance(value, np.ndarray | np.generic | list | tuple | numbers.Number):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        return None
    return array if array.dtype.kind in "biufc" else None


def same(got: Any, expected: Any, tolerance: float) -> bool:
    """Whether an answer's value is the expected one."""
    if expected is None or isinstance(expected, str | bytes | Set):
        return type(got) is type(expected) and got == expected
    if isinstance(expected, numbers.Rational) and isinstance(got, numbers.Number):
        return bool(got == expected)
    if isinstance(expected, Mapping):
        return (
            isinstance(got, Mapping)
            and got.keys() == expected.keys()
            and all(same(got[key], expected[key], tolerance) for key in expected)
        )
    numbers_got, numbers_expected = as_array(got), as_array(expected)
    if numbers_expected is not None and numbers_got is not None:
        if numbers_got.shape != numbers_expected.shape:
            return False
        if numbers_expected.dtype.kind in "biu":
            return bool((numbers_got == numbers_expected).all())
        return np.allclose(numbers_got, numbers_expected, tolerance, tolerance, equal_nan=True)
    if isinstance(expected, list | tuple | np.ndarray):
        return (
            isinstance(got, list | tuple | np.ndarray)
            and len(got) == len(expected)
            and all(same(g, e, tolerance) for g, e in zip(got, expected, strict=True))
        )
    return type(got) is type(expected) and bool(got == expected)


def written(value: Any, digits: int = 4) -> str:
    """The value as a short line: numbers to `digits` significant digits, arrays as lists."""
    line = _written(value, digits)
    return line if len(line) <= LONGEST else line[: LONGEST - 40] + " … " + line[-36:]


def _written(value: Any, digits: int) -> str:
    value = as_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.{digits}g}" if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        inside = ", ".join(_written(item, digits) for item in value)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, Mapping):
        pairs = sorted(f"{_written(k, digits)}: {_written(v, digits)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, numbers.Rational) and not isinstance(value, int):
        return str(value)  # 2/3 reads better than Fraction(2, 3)
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return repr(value)


def written_apart(got: Any, expected: Any) -> tuple[str, str]:
    """Both values, with as many digits as it takes to see that they differ."""
    for digits in (4, 8, 17):
        lines = written(got, digits), written(expected, digits)
        if lines[0] != lines[1]:
            return lines
    kinds = type(got).__name__, type(expected).__name__
    return f"{lines[0]} ({kinds[0]})", f"{lines[1]} ({kinds[1]})"
