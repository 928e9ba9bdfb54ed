import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import characters, text

from course_lib.errors import CourseError
from course_lib.tokenization.characters import CharacterTokenizer

ANY_TEXT = text(characters(), min_size=1)


@given(ANY_TEXT)
def test_decoding_gives_back_every_text(sample):
    tokenizer = CharacterTokenizer.from_text(sample)
    assert tokenizer.decode(tokenizer.encode(sample)) == sample


@given(ANY_TEXT)
def test_a_token_is_the_characters_place_in_the_sorted_alphabet(sample):
    tokenizer = CharacterTokenizer.from_text(sample)
    assert tokenizer.alphabet == "".join(sorted(set(sample)))
    assert tokenizer.encode(sample).tolist() == [tokenizer.alphabet.index(c) for c in sample]


@given(ANY_TEXT, ANY_TEXT)
def test_the_first_unknown_character_is_named_with_its_position(known, sample):
    tokenizer = CharacterTokenizer.from_text(known)
    unknown = [i for i, c in enumerate(sample) if c not in known]
    if not unknown:
        tokenizer.encode(sample)
        return
    with pytest.raises(CourseError) as error:
        tokenizer.encode(sample)
    first = unknown[0]
    assert repr(sample[first]) in str(error.value)
    assert f"position {first:,} " in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_no_characters_are_no_tokens():
    tokenizer = CharacterTokenizer("ab")
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.encode("").dtype == np.int64
    assert tokenizer.decode(np.array([], dtype=np.int64)) == ""


@pytest.mark.parametrize("alphabet", ["", "ba", "aa"])
def test_an_alphabet_is_sorted_unique_and_not_empty(alphabet):
    with pytest.raises(ValueError, match="sorted"):
        CharacterTokenizer(alphabet)


@pytest.mark.parametrize("token", [-1, 2])
def test_a_token_outside_the_vocabulary_is_refused(token):
    with pytest.raises(ValueError, match="between 0 and 1"):
        CharacterTokenizer("ab").decode(np.array([0, token]))
