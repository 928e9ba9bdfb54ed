"""The recipes report what they did, and have a defined result on any text."""

import json
import math

import pytest

from course_lib.data.corpora import Corpus
from course_lib.errors import CourseError
from course_lib.training.recipes import train_kneser_ney


def corpus(train, validation):
    alphabet = "".join(sorted(set(train + validation)))
    return Corpus("small", train, validation, "", alphabet, "a test", "anyone's")


POEM = "the cat sat on the mat and the rat sat on the cat and the cat ran at the rat. " * 12


def test_the_result_has_every_key_and_is_json():
    result = train_kneser_ney(corpus(POEM[:800], POEM[800:]))
    keys = "recipe parameters steps seconds val_loss val_loss_blocks bits_per_byte device"
    assert list(json.loads(json.dumps(result)))[:8] == keys.split()
    assert result["train_characters"] + result["validation_characters"] == len(POEM)


def test_the_order_kept_is_the_best_on_validation():
    result = train_kneser_ney(corpus(POEM[:800], POEM[800:]), orders=(1, 2, 4))
    losses = result["val_loss_by_order"]
    assert result["val_loss"] == losses[result["order"]] == min(losses.values())


def test_bits_per_byte_divides_by_the_bytes_of_the_text():
    """Every é takes two bytes in UTF-8."""
    text = "été, né, thé, " * 60
    result = train_kneser_ney(corpus(text[:700], text[700:]))
    characters, n_bytes = len(text[700:]), len(text[700:].encode())
    bits = result["val_loss"] / math.log(2) * characters
    assert result["bits_per_byte"] == pytest.approx(bits / n_bytes, abs=1e-12)


@pytest.mark.parametrize(
    ("train", "validation"),
    [("a" * 900, "a" * 100), ("ab" * 450, "ab" * 50), ("a" * 900, "b" * 100), ("a", "bc")],
    ids=["one symbol", "two symbols", "a symbol never seen", "tiny"],
)
def test_odd_texts_have_finite_losses(train, validation):
    result = train_kneser_ney(corpus(train, validation))
    assert math.isfinite(result["val_loss"])
    assert math.isfinite(result["val_loss_blocks"])
    assert result["unseen_symbols"] == "".join(sorted(set(validation) - set(train)))


def test_nothing_to_validate_on_is_an_error():
    with pytest.raises(CourseError, match="no tokens to score"):
        train_kneser_ney(corpus("abc", ""))
    with pytest.raises(CourseError, match="no order"):
        train_kneser_ney(corpus("abc", "abc"), orders=())
