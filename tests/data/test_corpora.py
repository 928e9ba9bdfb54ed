import re
from dataclasses import replace

import numpy as np
import pytest

from course_lib.data import corpora
from course_lib.data.corpora import (
    LEFT_OUT,
    MIN_CHARACTERS,
    TEST_PLAYS,
    TRAIN_PLAYS,
    VALIDATION_PLAYS,
    load,
    plain_play,
    read_text_file,
    sotu_split,
    speeches,
)
from course_lib.errors import CourseError

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module", params=["shakespeare", "shakespeare-full", "sotu"])
def corpus(request):
    return load(request.param)


@pytest.fixture(scope="module")
def ladder():
    return load("shakespeare")


@pytest.fixture(scope="module")
def addresses():
    return speeches()


# --- Every corpus ----------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_uses_only_the_alphabet_and_encodes_without_loss(corpus, split):
    text = getattr(corpus, split)
    assert set(text) <= set(corpus.alphabet)
    assert corpus.tokenizer.decode(corpus.tokenizer.encode(text)) == text


def test_the_alphabet_has_no_symbol_that_training_never_meets(corpus):
    assert set(corpus.alphabet) == set(corpus.train)
    assert corpus.unseen_symbols == ""


@pytest.mark.parametrize("split", SPLITS)
def test_bytes_are_those_of_utf8(corpus, split):
    assert corpus.n_bytes(split) == len(getattr(corpus, split))  # every alphabet here is ASCII


def test_held_out_text_was_not_trained_on(corpus):
    # Lines of plays, sentences of speeches. Presidents quote each other and themselves: 0.2 % of
    # the characters. Plays repeat a line now and then; the ladder's do not.
    def passages(text):
        pieces = re.split(r"(?<=[.?!])\s+" if corpus.name == "sotu" else "\n", text)
        return {piece for piece in pieces if len(piece) > 40}

    tolerated = {"shakespeare": 0, "shakespeare-full": 0.0005, "sotu": 0.0025}[corpus.name]
    trained = passages(corpus.train)
    for held_out in (corpus.validation, corpus.test):
        repeated = passages(held_out) & trained
        assert sum(map(len, repeated)) <= tolerated * len(held_out)


def test_a_corpus_prints_on_a_line_without_its_text(corpus):
    assert len(repr(corpus)) < 600
    assert "\n" not in repr(corpus)


def test_a_split_that_is_not_the_books_is_refused(monkeypatch):
    altered = replace(
        corpora._CORPORA["shakespeare"], splits=lambda: dict.fromkeys(SPLITS, "To be")
    )
    monkeypatch.setitem(corpora._CORPORA, "shakespeare", altered)
    with pytest.raises(CourseError, match=r"train text of shakespeare is not the one.*course data"):
        load("shakespeare")


def test_an_unknown_corpus_is_refused_with_the_choice():
    with pytest.raises(
        CourseError, match=r"no corpus 'bacon'.*shakespeare, shakespeare-full, sotu"
    ):
        load("bacon")


# --- Shakespeare -----------------------------------------------------------------------------


def test_the_ladder_has_the_sizes_the_book_speaks_of(ladder):
    assert [len(getattr(ladder, split)) for split in SPLITS] == [1_114_068, 180_534, 237_976]
    assert ladder.tokenizer.vocab_size == 68


def test_no_play_is_in_two_splits():
    plays = [*TRAIN_PLAYS, *VALIDATION_PLAYS, *TEST_PLAYS, *LEFT_OUT]
    assert len(plays) == len(set(plays))


def test_the_full_corpus_holds_out_the_ladders_plays_and_trains_on_all_others(ladder):
    full = load("shakespeare-full")
    assert (full.validation, full.test, full.alphabet) == (
        ladder.validation,
        ladder.test,
        ladder.alphabet,
    )
    assert set(TRAIN_PLAYS) < set(corpora._all_other_plays())
    assert len(corpora._all_other_plays()) == 33


@pytest.mark.parametrize("split", SPLITS)
def test_the_ladder_is_speeches_without_a_trace_of_markdown(ladder, split):
    text = getattr(ladder, split)
    assert not re.search(r"[*_#\\\[\]]|  |\n\n\n| \n|\n ", text)
    assert not re.search(r"\b(Enter [A-Z]{2,}|Exeunt|Re-enter|SCENE|ACT [IV]+)\b", text)
    for speech in text.strip("\n").split("\n\n"):
        speaker, *lines = speech.split("\n")
        assert speaker.endswith(":")
        assert lines


def test_no_character_of_the_held_out_plays_speaks_in_training(ladder):
    def names(text):
        speakers = {speech.split("\n")[0] for speech in text.split("\n\n")}
        return {name for name in speakers if name.isupper() and name != "ALL:"}

    assert names(ladder.train) & names(ladder.validation) == set()
    # The Merchant of Venice and Othello each have one; they share no more than the name.
    assert names(ladder.train) & names(ladder.test) == {"GRATIANO:"}


def test_a_play_becomes_speakers_and_lines():
    markdown = (
        "# A Play\n\n## ACT I\n\n### SCENE I. A room,\n\nvery dark.\n\n_Enter GHOST\nand QUEEN_\n\n"
        "**GHOST**  \n__\\[Within]_  \nBoo!\\--and again,  \n[Aside]_  \n& c.\n\n_Exit_\n\n"
        "O  horror.\n\n\n"
        "QUEEN\n\n**OF HEARTS & KNAVE**  \n_\\[Reads]_  \nWho's there?\n\n"
        "### PROLOGUE\n\nUnnamed.\n\nCASSIO: Good night.\n"
    )
    assert plain_play(markdown) == (
        "GHOST:\nBoo!--and again,\n&c.\nO horror.\n\n"
        "QUEEN OF HEARTS & KNAVE:\nWho's there?\n\n"
        "Prologue:\nUnnamed.\n\n"
        "CASSIO:\nGood night.\n"
    )


# --- Addresses of presidents -----------------------------------------------------------------


def test_the_speeches_are_dated_and_in_order(addresses):
    assert len(addresses) == 249
    assert (addresses[0].date, addresses[0].president) == ("1790-01-08", "George Washington")
    assert addresses[-1].year == 2026
    assert [speech.date for speech in addresses] == sorted(speech.date for speech in addresses)
    assert addresses[0].text.startswith(
        "Fellow-Citizens of the Senate and House of Representatives:\n\n"
    )


def test_the_transcribers_notes_are_gone(addresses):
    text = "\n".join(speech.text for speech in addresses)
    assert not re.search(
        r"Laughter|APP Note|^Audience member|^The President\. ", text, re.MULTILINE
    )
    assert not re.search(r"  | \n|\n |\n\n\n\n", text)


def test_every_speech_is_whole_and_in_one_split(addresses):
    sotu = load("sotu")
    for speech in addresses:
        assert speech.text in getattr(sotu, sotu_split(speech.name))
    assert sum(len(getattr(sotu, split)) for split in SPLITS) == sum(
        len(speech.text) + 1 for speech in addresses
    ) - len(SPLITS)


def test_the_addresses_of_one_year_stay_together(addresses):
    split_of = {}
    for speech in addresses:
        year_and_president = speech.name.rsplit("-", 1)[0]
        assert split_of.setdefault(year_and_president, sotu_split(speech.name)) == sotu_split(
            speech.name
        )
    assert set(split_of.values()) == set(SPLITS)


# --- The user's own text ---------------------------------------------------------------------


def test_the_last_tenth_of_a_file_is_validation(tmp_path):
    text = "".join(np.random.default_rng(0).choice(list("abé\n"), 5_005))
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8", newline="\n")
    corpus = read_text_file(tmp_path / "mine.txt")
    assert (corpus.train, corpus.validation, corpus.test) == (text[:4504], text[4504:], "")
    assert corpus.n_bytes("train") == len(text[:4504].encode())


def test_symbols_first_met_in_validation_are_in_the_alphabet_and_reported(tmp_path):
    (tmp_path / "mine.txt").write_text("a" * MIN_CHARACTERS + "ñz")
    corpus = read_text_file(str(tmp_path / "mine.txt"))
    assert corpus.alphabet == "azñ"
    assert corpus.unseen_symbols == "zñ"


def test_byte_order_mark_and_line_ends_are_normalised(tmp_path):
    (tmp_path / "mine.txt").write_bytes(b"\xef\xbb\xbf" + b"one\r\ntwo\rthree\n" * 100)
    corpus = read_text_file(tmp_path / "mine.txt")
    assert corpus.train + corpus.validation == "one\ntwo\nthree\n" * 100


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"a" * (MIN_CHARACTERS - 1), "999 characters; at least 1,000"),
        (b"a" * 2000 + b"\xff\xfe", "not UTF-8 text: byte 0xff at offset 2,000"),
        (b"a" * 2000 + b"\0", "not UTF-8 text: byte 0x00 at offset 2,000"),
    ],
)
def test_a_file_that_cannot_be_modelled_is_refused_in_one_line(tmp_path, content, complaint):
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(CourseError, match=complaint) as error:
        read_text_file(tmp_path / "mine.txt")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(CourseError, match="there is no file"):
        read_text_file(tmp_path / "nowhere.txt")
    with pytest.raises(CourseError, match="is a folder"):
        read_text_file(tmp_path)
