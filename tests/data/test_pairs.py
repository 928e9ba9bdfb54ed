import re

from course_lib.data.pairs import hsk


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
