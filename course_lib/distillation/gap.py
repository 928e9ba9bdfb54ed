"""How much of the way to its teacher a student gained by having one.

    gap recovered = (student − the same student alone) / (teacher − the same student alone)

1: it is as good as the teacher; 0: the teacher was of no use; below 0: it did harm. As a share of a
difference it is shaky where the difference is small, so it comes with an interval, and is undefined
where the teacher is not surely better than the student alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from course_lib.errors import CourseError


@dataclass(frozen=True)
class GapRecovered:
    """The share, and the interval that 95 % of such hold it in."""

    share: float  # nan where the teacher is not surely better than the student alone
    low: float
    high: float

    def __str__(self) -> str:
        if math.isnan(self.share):
            return "undefined: no gap to speak of"
        return f"{self.share:.0%} [{self.low:.0%}, {self.high:.0%}]"


def gap_recovered(
    student: Float[np.ndarray, "*seeds_s items_s"],
    alone: Float[np.ndarray, "*seeds_a items_a"],
    teacher: Float[np.ndarray, "*seeds_t items_t"],
    *,
    paired_seeds: bool = False,
    confidence: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> GapRecovered:
    """(student − alone) / (teacher − alone), of scores where more is better, with its interval.

    One score an item, or a row of them a seed. Each resample draws the items anew, the same for
    all three, and a method with several seeds is moved by Student's t · s / √seeds, as in
    `course_lib.evidence.compare`. With `paired_seeds`, a row of `student` and the same row of
    `alone` began and read alike: the two are then moved together, by Student's t in two
    dimensions, so that luck which they share leaves their difference alone. Fieller's problem:
    where the interval of the gap itself holds zero, a share of it has no meaning, and is nan
    between −∞ and ∞.

    Raises CourseError when the three were not scored on the same items, or rows have no partner.
    """
    rows = [np.atleast_2d(np.asarray(scores, float)) for scores in (student, alone, teacher)]
    n = rows[0].shape[1]
    if any(scores.shape[1] != n for scores in rows):
        raise CourseError("student, alone and teacher need the same items, in the same order")
    runs = [len(scores) for scores in rows]
    if paired_seeds and runs[0] != runs[1]:
        raise CourseError(
            f"the student has {runs[0]} seeds and the student alone {runs[1]}: without partners "
            "they cannot be paired"
        )
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, 3))
    by_item = np.stack([scores.mean(0) for scores in rows])  # (3, items)
    for r in range(resamples):
        means[r] = by_item[:, rng.integers(n, size=n)].mean(1)
    for columns in ([0, 1], [2]) if paired_seeds else ([0], [1], [2]):
        by_seed = np.stack([rows[column].mean(1) for column in columns])  # (columns, seeds)
        means[:, columns] += _another_runs_luck(by_seed, resamples, rng)
    gap = means[:, 2] - means[:, 1]
    tail = [(1 - confidence) / 2, (1 + confidence) / 2]
    if np.quantile(gap, tail[0]) <= 0:
        return GapRecovered(math.nan, -math.inf, math.inf)
    sure = gap > 0  # nearly all
    shares = (means[sure, 0] - means[sure, 1]) / gap[sure]
    low, high = np.quantile(shares, tail)
    s, a, t = by_item.mean(1)
    return GapRecovered(float((s - a) / (t - a)), float(low), float(high))


def _another_runs_luck(
    by_seed: Float[np.ndarray, "methods seeds"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws methods"]:
    """How far the methods' means over all possible seeds may lie from those over these seeds:
    Student's t in as many dimensions, with the covariance of their means."""
    methods, seeds = by_seed.shape
    if seeds == 1:
        return np.zeros((draws, methods))
    covariance = np.atleast_2d(np.cov(by_seed)) / seeds
    normal = rng.multivariate_normal(np.zeros(methods), covariance, size=draws, method="eigh")
    return normal / np.sqrt(rng.chisquare(seeds - 1, size=(draws, 1)) / (seeds - 1))
