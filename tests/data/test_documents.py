"""Speeches cut into sentences: nothing lost, nothing joined, splits apart."""

import pytest

from course_lib.data.corpora import load, speeches
from course_lib.data.documents import sentences, speech_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Lee, U.S. Navy, saw it. So did I.", ["Mr. Lee, U.S. Navy, saw it.", "So did I."]),
        ('He said "Go." They went.', ['He said "Go."', "They went."]),
        ("It cost 3.5 millions. No. 7 was\nlate.", ["It cost 3.5 millions.", "No. 7 was late."]),
        ("A heading\n\nIts text.", ["A heading", "Its text."]),
        ("", []),
    ],
)
def test_sentences_end_where_they_end(text, expected):
    assert sentences(text) == expected


def test_no_word_of_a_speech_is_lost():
    for speech in speeches()[::25]:
        assert " ".join(sentences(speech.text)).split() == speech.text.split()


def test_the_splits_are_those_of_the_corpus_and_no_speech_is_in_two():
    splits, corpus = speech_sentences(), load("sotu")
    names = [document.name for documents in splits.values() for document in documents]
    assert len(names) == len(set(names)) == 249
    for split, documents in splits.items():
        text = getattr(corpus, split)
        words = [word for d in documents for s in d.sentences for word in s.split()]
        assert words == text.split()
    assert all(1790 <= d.year <= 2026 for documents in splits.values() for d in documents)
