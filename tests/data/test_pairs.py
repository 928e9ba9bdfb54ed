import hashlib
import re

import pytest

from course_lib.data.pairs import (
    bible_splits,
    chinese_number,
    english_number,
    english_words,
    frames,
    hsk,
    hsk_splits,
    numbers,
)
from course_lib.errors import CourseError

HSK_SIZES = {"train": 3536, "validation": 422, "test": 396}
HSK_SHA256 = "864557c8233b89910c669830db3626cd33ee8e8668eb06f1ec07170945915172"
BIBLE_SIZES = {"train": 24923, "validation": 3138, "test": 2951}
BIBLE_SHA256 = "48e617333f4f07ccdf607a322d42187c6920db2e78bb2117f5eae3c513b258fd"


def test_there_are_as_many_pairs_as_the_book_says():
    pairs = hsk()
    assert len(pairs) == 4354
    assert len({pair.name for pair in pairs}) == 4354
    assert {pair.level for pair in pairs} == {1, 2, 3, 4, 5, 6}


def test_the_words_of_a_sentence_are_its_characters():
    for pair in hsk():
        assert "".join(pair.words) == "".join(re.findall(r"\w+", pair.chinese))


def test_one_side_is_chinese_and_the_other_english():
    chinese = re.compile("[\u4e00-\u9fff]")
    assert all(chinese.search(pair.chinese) for pair in hsk())
    assert all(re.search("[A-Za-z]", pair.english) for pair in hsk())
    # One names a Chinese character; the other has a word that nobody translated.
    mixed = [pair.name for pair in hsk() if chinese.search(pair.english)]
    assert mixed == ["hsk3-0550", "hsk3-0620"]


def sha256(splits, *fields):
    """Of all pairs, split by split."""
    digest = hashlib.sha256()
    for name, pairs in splits.items():
        for pair in pairs:
            row = [name, *(str(getattr(pair, field)) for field in fields)]
            digest.update("\t".join([*row, "\n"]).encode("utf-8"))
    return digest.hexdigest()


@pytest.fixture(scope="module")
def verses():
    return bible_splits()


def test_no_frame_of_a_held_out_sentence_is_in_training():
    splits = hsk_splits()

    def seen(pairs):
        chinese = {("chinese", frame) for pair in pairs for frame in frames(pair.words)}
        english = {
            ("english", frame) for pair in pairs for frame in frames(english_words(pair.english))
        }
        return chinese | english

    train, validation, test = map(seen, splits.values())
    assert not train & test
    assert not train & validation
    assert not validation & test


def test_the_splits_of_hsk_never_change():
    splits = hsk_splits()
    assert {name: len(pairs) for name, pairs in splits.items()} == HSK_SIZES
    assert sorted(p.name for part in splits.values() for p in part) == sorted(p.name for p in hsk())
    assert sha256(splits, "name", "chinese", "english") == HSK_SHA256


def test_a_frame_leaves_one_word_open():
    assert frames(("a", "b")) == [("a", "b")]
    assert frames(("a", "b", "c"))[1:] == [("_", "b", "c"), ("a", "_", "c"), ("a", "b", "_")]


def test_the_splits_of_the_bible_never_change(verses):
    assert {name: len(pairs) for name, pairs in verses.items()} == BIBLE_SIZES
    fields = ("book", "chapter", "verse", "king_james", "basic")
    assert sha256(verses, *fields) == BIBLE_SHA256


def test_no_chapter_is_in_two_splits(verses):
    chapters = [{(pair.book, pair.chapter) for pair in part} for part in verses.values()]
    assert sum(map(len, chapters)) == len(set.union(*chapters))


def test_the_two_bibles_say_the_same_in_every_verse(verses):
    def words(text):
        return {word for word in english_words(text) if len(word) > 3}

    pairs = [pair for part in verses.values() for pair in part]
    both = [(words(pair.king_james), words(pair.basic)) for pair in pairs]
    sharing = sum(bool(old & new) for old, new in both if old and new)
    shifted = sum(bool(old & new) for (old, _), (_, new) in zip(both, both[5:], strict=False))
    assert sharing / len(both) > 0.95  # were the verses misnumbered, it would be far less:
    assert shifted / len(both) < 0.8


def test_verses_have_no_marks_of_the_edition_left(verses):
    for pair in (pair for part in verses.values() for pair in part):
        assert not re.search(r"[\[\]\\*\n]|^\d+\.", pair.king_james + pair.basic)
        assert pair.king_james
        assert pair.basic


def test_short_verses_are_split_as_all_are(verses):
    short = bible_splits(longest=12)
    for name, pairs in short.items():
        assert set(pairs) <= set(verses[name])
        assert all(len(pair.basic.split()) <= 12 for pair in pairs)


def test_english_words_are_small_and_without_punctuation():
    assert english_words("Don't worry, Abel-beth!") == ("don't", "worry", "abel-beth")


@pytest.mark.parametrize(
    ("n", "chinese", "english"),
    [
        (7, "七", "seven"),
        (10, "十", "ten"),
        (14, "十四", "fourteen"),
        (110, "一百一十", "one hundred ten"),
        (1_005, "一千零五", "one thousand five"),
        (1_050, "一千零五十", "one thousand fifty"),
        (10_500, "一万零五百", "ten thousand five hundred"),
        (100_000, "十万", "one hundred thousand"),
        (210_014, "二十一万零一十四", "two hundred ten thousand fourteen"),
        (3_000_000, "三百万", "three million"),
    ],
)
def test_numbers_are_written_as_people_write_them(n, chinese, english):
    assert (chinese_number(n), english_number(n)) == (chinese, english)


@pytest.mark.parametrize("write", [chinese_number, english_number])
def test_no_two_numbers_are_written_alike(write):
    assert len({write(n) for n in range(1, 30_000)}) == 29_999


def test_numbers_are_different_and_no_held_out_one_is_in_training():
    splits = numbers(1_000)
    assert sum(map(len, splits.values())) == 1_000
    assert len({pair for part in splits.values() for pair in part}) == 1_000
    assert splits == numbers(1_000)
    assert 0.7 < len(splits["train"]) / 1_000 < 0.9


def test_more_numbers_than_there_are_cannot_be_had():
    with pytest.raises(CourseError, match="too many"):
        numbers(60, below=100)
