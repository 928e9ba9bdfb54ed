import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strings import ANY_TEXT
from tokenizers import Tokenizer

from course_lib.tokenization.offsets import encode_with_offsets
from course_lib.tokenization.wordpiece import SPECIAL, WordPieceTokenizer, plain, words


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def tokenizer(request):
    texts = ["the people of the united states naive café 3,000 The U.S. 中文字典 ab12 don't"] * 3
    return WordPieceTokenizer.train(texts, 120, lowercase=request.param)


def test_a_token_covers_the_characters_that_it_came_from():
    tokenizer = WordPieceTokenizer((*SPECIAL, "tres", "ch", "##ic", "!"))
    text = "Très  CHIC! xyz"
    tokens, spans = encode_with_offsets(tokenizer, text)
    assert [text[start:end] for start, end in spans] == ["Très", "CH", "IC", "!", "xyz"]
    assert tokens.tolist() == [5, 6, 7, 8, 1]


@given(text=ANY_TEXT)
@settings(deadline=None)
def test_offsets_go_forwards_and_lie_in_the_text(tokenizer, text):
    tokens, spans = encode_with_offsets(tokenizer, text)
    assert tokens.tolist() == tokenizer.encode(text).tolist()
    assert len(spans) == len(tokens)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(a[0] <= b[0] for a, b in pairwise(spans))


@given(text=ANY_TEXT)
@settings(deadline=None)
def test_making_plain_works_character_by_character(tokenizer, text):
    made = "".join(plain(character, tokenizer.lowercase) for character in text)
    assert words(made, tokenizer.lowercase) == words(text, tokenizer.lowercase)


@given(text=st.text(st.sampled_from("abcTheUS é中3,.'-\n "), max_size=40))
@settings(deadline=None)
def test_offsets_are_those_of_hugging_face(tokenizer, text):
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(path := Path(folder) / "tokenizer.json")
        theirs = Tokenizer.from_file(str(path)).encode(text)
    _, spans = encode_with_offsets(tokenizer, text)
    assert [tuple(span) for span in spans.tolist()] == theirs.offsets
