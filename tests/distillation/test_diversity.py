"""What a text lacks: counted by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from course_lib.distillation.diversity import (
    distinct_n,
    loss_by_rarity,
    rare_word_share,
    shared_n_grams,
    unigram_entropy,
    words_of,
)
from course_lib.errors import CourseError


def test_words_keep_their_apostrophes_and_lose_their_capitals():
    assert words_of("Thou ow'st me, Well-met -- 'tis!") == [
        "thou",
        "ow'st",
        "me",
        "well-met",
        "tis",
    ]


def test_distinct_by_hand():
    assert distinct_n(["abab"], 1) == pytest.approx(2 / 4)
    assert distinct_n(["abab", "ab"], 2) == pytest.approx(2 / 4)  # ab ba ab, ab
    with pytest.raises(CourseError):
        distinct_n(["a"], 2)


def test_shared_by_hand():
    assert shared_n_grams(["abc", "abd"], 2) == pytest.approx(1 / 2)
    assert shared_n_grams(["aaa", "bbb"], 2) == 0  # repeating oneself is not sharing
    assert shared_n_grams(["abab", "ab", "xy"], 2) == pytest.approx((2 / 3 + 1 + 0) / 3)
    with pytest.raises(CourseError, match="two texts"):
        shared_n_grams(["abc", "a"], 2)


def test_entropy_is_that_of_the_frequencies():
    assert unigram_entropy(["aabb", "cc"]) == pytest.approx(math.log(3))
    assert unigram_entropy(["aaaa"]) == 0


def test_rare_and_unknown_words():
    known = Counter({"the": 100, "rare": 2})
    assert rare_word_share(["the", "rare", "new", "new"], known) == (0.25, 0.5)


def test_loss_by_rarity_is_the_mean_over_the_characters_of_words():
    nats = np.array([1.0, 3.0, 100.0, 5.0, 7.0, 9.0])
    known = Counter({"ab": 5, "xyz": 6})
    assert loss_by_rarity("ab xyz", nats, known, [0, 5, 100]) == {
        "1–5": (2.0, 2),
        "6–100": (7.0, 3),
    }
    assert loss_by_rarity("ab xyz", nats, Counter({"ab": 101}), [0, 5, 100]) == {
        "0": (7.0, 3),
        "over 100": (2.0, 2),
    }
    with pytest.raises(CourseError, match="one for each"):
        loss_by_rarity("ab", nats, known, [0])
