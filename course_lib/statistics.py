"""Intervals, power and corrections in closed form.

What a published accuracy is worth when only its test set's size is known, how many items or seeds
a comparison needs before it is run, and what is left of a result after many tries. For scores item
by item, `course_lib.evidence.compare` says more.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from course_lib.errors import CourseError

Z = NormalDist()


def wilson(accuracy: float | int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of an accuracy (0 to 1) that was measured on `n` examples.

    It holds the true accuracies under which one so far off is not surprising; unlike p ± 1.96 √(p
    (1 - p) / n) it stays inside 0 and 1 and does not vanish at their ends.

    Raises CourseError for an accuracy outside 0 to 1 and for fewer than one example.
    Wilson (1927), "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    _check(accuracy, n)
    z = Z.inv_cdf((1 + confidence) / 2)
    middle = (accuracy + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(accuracy * (1 - accuracy) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy_difference(
    a: float | int,
    b: float | int,
    n: int,
    disagreement: float | int | None = None,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """The interval of a − b, two accuracies on the same `n` examples.

    `disagreement` is the share of the examples on which only one of the two is right; the more the
    models agree, the narrower the interval. A table does not say it: None takes the two as
    independent, which is too wide for models that find the same examples hard.

    Raises CourseError for an accuracy outside 0 to 1, for fewer than one example, and for a
    disagreement smaller than |a − b|, which cannot be. McNemar (1947), for the paired variance.
    """
    _check(a, n), _check(b, n)
    difference = a - b
    if disagreement is None:
        variance = a * (1 - a) + b * (1 - b)
    elif abs(difference) - 1e-12 <= disagreement <= 1:
        variance = max(0.0, disagreement - difference**2)
    else:
        raise CourseError(
            f"two accuracies that are {abs(difference):.3f} apart differ on at least that share "
            f"of the examples and at most on all; a disagreement of {disagreement} cannot be"
        )
    half = Z.inv_cdf((1 + confidence) / 2) * math.sqrt(variance / n)
    return difference - half, difference + half


def power(difference: float | int, spread: float | int, n: int, alpha: float = 0.05) -> float:
    """The probability to find a true `difference` with `n` paired items (or seeds).

    `spread` is the standard deviation of the items' differences. Found means that the (1 − alpha)
    interval of the mean difference, two-sided, leaves out zero; normal approximation, which is too
    hopeful for less than about ten items.
    """
    z = Z.inv_cdf(1 - alpha / 2)
    shift = difference / (spread / math.sqrt(n))
    return Z.cdf(shift - z) + Z.cdf(-shift - z)


def items_needed(
    difference: float | int, spread: float | int, power: float = 0.8, alpha: float = 0.05
) -> int:
    """How many paired items (or seeds) it takes to find `difference` with probability `power`."""
    both = Z.inv_cdf(1 - alpha / 2) + Z.inv_cdf(power)
    return math.ceil((both * spread / difference) ** 2)


def holm(p_values: Sequence[float] | Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """p-values adjusted for their number: below alpha, the chance of *any* false finding is alpha.

    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    p = np.asarray(p_values, float)
    order, m = np.argsort(p), len(p)
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(1, np.maximum.accumulate((m - np.arange(m)) * p[order]))
    return adjusted


def expected_best(losses: Sequence[float] | Float[np.ndarray, " runs"], k: int) -> float:
    """The mean of the lowest loss among `k` runs drawn from `losses` with replacement.

    Dodge et al. (2019), "Show Your Work", section 3.
    """
    worst_first, n = np.sort(np.asarray(losses, float))[::-1], len(losses)
    up_to = (np.arange(n + 1) / n) ** k  # the chance that all k are among the i worst
    return float((worst_first * np.diff(up_to)).sum())


def _check(accuracy: float | int, n: int) -> None:
    if not 0 <= accuracy <= 1:
        raise CourseError(f"an accuracy is a share from 0 to 1; got {accuracy}")
    if n < 1:
        raise CourseError(f"an accuracy is measured on at least one example; got n = {n}")
