import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strings import ANY_TEXT, HARD_TEXT
from tokenizers import Tokenizer

from course_lib.data.corpora import load
from course_lib.data.pairs import hsk
from course_lib.errors import CourseError
from course_lib.tokenization.wordpiece import (
    LONGEST_WORD,
    SPECIAL,
    WordPieceTokenizer,
    plain,
    words,
)


@pytest.fixture(scope="module")
def texts():
    chinese = "\n".join(pair.chinese for pair in hsk()[:1500])
    return [load("sotu").train[:200_000], chinese]


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def tokenizer(texts, request):
    return WordPieceTokenizer.train(texts, 3000, lowercase=request.param)


@pytest.fixture(scope="module")
def theirs(tokenizer, tmp_path_factory):
    """The same tokenizer in Hugging Face's library, which here reads special tokens as text too."""
    path = tmp_path_factory.mktemp("wordpiece") / "tokenizer.json"
    tokenizer.save(path)
    loaded = Tokenizer.from_file(str(path))
    loaded.encode_special_tokens = True
    return loaded


@given(text=HARD_TEXT)
@settings(max_examples=500, deadline=None)
def test_tokens_are_those_of_hugging_face(tokenizer, theirs, text):
    assert tokenizer.encode(text).tolist() == theirs.encode(text).ids


def test_a_corpus_has_the_tokens_of_hugging_face(tokenizer, theirs, texts):
    for text in texts:
        assert tokenizer.encode(text).tolist() == theirs.encode(text).ids


@given(tokens=st.lists(st.integers(0, 2999), max_size=30))
@settings(deadline=None)
def test_any_tokens_decode_as_hugging_face_decodes_them(tokenizer, theirs, tokens):
    said = theirs.decode(tokens, skip_special_tokens=False)
    assert tokenizer.decode(np.array(tokens, np.int64)) == said


@given(text=ANY_TEXT)
@settings(deadline=None)
def test_every_text_has_tokens(tokenizer, text):
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int64
    assert not tokens.size or 0 <= tokens.min() <= tokens.max() < tokenizer.vocab_size


@given(text=HARD_TEXT)
@settings(deadline=None)
def test_what_is_known_reads_the_same_after_the_round_trip(tokenizer, text):
    known = [w for w in words(text, tokenizer.lowercase) if "[UNK]" not in tokenizer.pieces(w)]
    assert tokenizer.decode(tokenizer.encode(" ".join(known))).split() == known


# --- The steps -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    return WordPieceTokenizer(("[UNK]", "un", "##aff", "##able", "##a", "u", "unaff"))


def test_the_longest_piece_comes_first_each_time(small):
    assert small.pieces("unaffable") == ["unaff", "##able"]
    assert small.pieces("una") == ["un", "##a"]
    assert small.pieces("unaffx") == ["[UNK]"]  # one piece that is missing loses the whole word
    assert small.pieces("able") == ["[UNK]"]  # it may only go on a word
    assert small.pieces("") == ["[UNK]"]


def test_a_very_long_word_is_unknown():
    tokenizer = WordPieceTokenizer(("[UNK]", "a", "##a"))
    assert tokenizer.encode("a" * LONGEST_WORD).size == LONGEST_WORD
    assert tokenizer.encode("a" * (LONGEST_WORD + 1)).tolist() == [0]


def test_uncased_text_loses_case_accents_and_controls():
    assert plain("Crème\x00\u200b BRÛLÉE\tΣΑΣ") == "creme brulee\tσασ"
    assert plain("Crème\x00\u200b BRÛLÉE", lowercase=False) == "Crème BRÛLÉE"


def test_words_are_cut_at_white_space_punctuation_and_chinese_characters():
    assert " ".join(words("Don't pay $3.50,\n老师！")) == "don ' t pay $ 3 . 50 , 老 师 ！"


def test_the_vocabulary_begins_with_the_special_tokens_and_all_characters(texts):
    tokenizer = WordPieceTokenizer.train(["ab abc ab\n"], vocab_size=11)
    assert tokenizer.tokens == (*SPECIAL, "##b", "##c", "a", "ab", "abc")
    with pytest.raises(CourseError, match=r"3 different characters.*7 tokens cannot hold"):
        WordPieceTokenizer.train(["ab abc ab\n"], vocab_size=7)


@pytest.mark.parametrize("tokens", [("a", "b"), ("[UNK]", "a", "a")])
def test_a_vocabulary_that_cannot_work_is_refused(tokens):
    with pytest.raises(ValueError, match="vocabulary"):
        WordPieceTokenizer(tokens)


@pytest.mark.parametrize("token", [-1, 7])
def test_a_token_outside_the_vocabulary_is_refused(small, token):
    with pytest.raises(ValueError, match="between 0 and 6"):
        small.decode(np.array([0, token]))


def test_no_text_is_no_tokens(small):
    assert small.encode(" \n").shape == (0,)
    assert small.encode("").dtype == np.int64
    assert small.decode(np.array([], dtype=np.int64)) == ""


# --- Files -----------------------------------------------------------------------------------


def test_a_saved_tokenizer_is_loaded_as_it_was(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    assert WordPieceTokenizer.load(tmp_path / "tokenizer.json") == tokenizer


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("normalizer", {"type": "NFC"}, "not BERT's WordPiece"),
        ("normalizer", {"strip_accents": False, "lowercase": True}, "not BERT's WordPiece"),
        ("pre_tokenizer", {"type": "Whitespace"}, "not BERT's WordPiece"),
        ("model", {"type": "BPE"}, "of the kind BPE; WordPiece is needed"),
        ("model", {"unk_token": "?"}, "not BERT's WordPiece"),
        ("model", {"vocab": {"a": 0}}, "damaged"),
    ],
)
def test_another_kind_of_file_is_refused_in_one_line(small, tmp_path, part, change, said):
    path = tmp_path / "tokenizer.json"
    small.save(path)
    content = json.loads(path.read_text("utf-8"))
    content[part] |= change
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(CourseError, match=said) as error:
        WordPieceTokenizer.load(path)
    assert "\n" not in str(error.value)
