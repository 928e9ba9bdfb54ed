"""Sentences are cut at their ends, once each, and a longer list begins with a shorter one."""

from course_lib.data.sentences import sentences

TEXTS = ["One two three. Four five six! Seven?", "four five six! And eight nine ten eleven."]


def test_sentences_are_cut_small_and_not_repeated():
    found = sentences(TEXTS, 10, words=(3, 4))
    assert sorted(found) == ["four five six!", "one two three."]


def test_a_longer_list_begins_with_a_shorter_one():
    assert sentences(TEXTS, 2, words=(1, 9)) == sentences(TEXTS, 10, words=(1, 9))[:2]
