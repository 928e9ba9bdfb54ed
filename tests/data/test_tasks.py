"""The labelled sets are those of the book: sizes, digests, types, nothing known from training."""

import re

import pytest
from datasets import ClassLabel, DatasetDict

from course_lib.data import tasks
from course_lib.errors import CourseError

SIZES = {
    "rotten_tomatoes": {"train": 5528, "validation": 1000, "test": 2000},
    "imdb": {"train": 12764, "validation": 2000, "test": 10_000},
    "factbook_questions": {"train": 3897, "validation": 647, "test": 1006},
}


@pytest.mark.parametrize("name", SIZES)
def test_the_sets_have_the_sizes_of_the_book(name):
    loaded = getattr(tasks, name)()
    assert isinstance(loaded, DatasetDict)
    assert {split: len(rows) for split, rows in loaded.items()} == SIZES[name]


@pytest.mark.parametrize("name", ["rotten_tomatoes", "imdb"])
def test_reviews_have_typed_labels_of_both_kinds(name):
    for rows in getattr(tasks, name)().values():
        assert isinstance(rows.features["label"], ClassLabel)
        assert rows.features["label"].names == ["negative", "positive"]
        assert 0.48 < sum(rows["label"]) / len(rows) < 0.52
        assert not any("<br" in text for text in rows["text"])


@pytest.mark.parametrize("name", ["rotten_tomatoes", "imdb"])
def test_no_sentence_of_a_review_is_known_from_another(name):
    texts = [text for rows in getattr(tasks, name)().values() for text in rows["text"]]
    assert len(tasks.without_repeats(texts)) == len(texts)


def test_repeats_are_found_whatever_their_case_and_punctuation():
    long = "one two three four five six seven eight"
    texts = ["A b.", "a, B", "a b c", f"{long}! x", f"y. {long.title()}.", long[:-6]]
    assert tasks.without_repeats(texts) == [0, 2, 3, 5]


def test_every_answer_stands_where_it_is_said_to():
    for rows in tasks.factbook_questions().values():
        for row in rows:
            end = row["start"] + len(row["answer"])
            assert row["context"][row["start"] : end] == row["answer"]
            assert row["country"] in row["question"]


def test_no_country_is_in_two_splits():
    countries = [set(rows["country"]) for rows in tasks.factbook_questions().values()]
    assert sum(map(len, countries)) == len(set.union(*countries)) > 200


def test_the_place_of_a_fact_tells_nothing():
    rows = tasks.factbook_questions()["train"]
    fact = [row["context"][: row["start"]].count(". ") for row in rows]
    shares = [sum(f == i for f in fact) / len(fact) for i in range(6)]
    assert all(0.13 < share < 0.21 for share in shares)


def test_half_of_the_questions_use_other_words():
    rows = tasks.factbook_questions()["train"]
    assert rows.features["wording"].names == ["same", "other"]
    assert 0.47 < sum(rows["wording"]) / len(rows) < 0.53


def test_passages_do_not_name_their_country():
    passages = tasks.factbook_passages()
    assert len(passages) > 200
    for p in passages:
        assert not re.search(re.escape(p.country), p.location + p.background, re.IGNORECASE)


def test_a_changed_set_is_refused(monkeypatch):
    monkeypatch.setitem(tasks.SHA256, "rotten_tomatoes", "0" * 64)
    with pytest.raises(CourseError, match="not the set"):
        tasks.rotten_tomatoes.__wrapped__()
