import heapq
import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strings import ANY_TEXT, HARD_TEXT
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from course_lib.data.corpora import load
from course_lib.data.pairs import hsk
from course_lib.errors import CourseError
from course_lib.tokenization.bpe import BYTE_ORDER, BPETokenizer, cut, learn_merges

BYTES = tuple(bytes([byte]) for byte in BYTE_ORDER)
DIGITS_APART = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


@pytest.fixture(scope="module")
def texts():
    """English and Chinese, 300 kB."""
    chinese = "\n".join(pair.chinese for pair in hsk())
    return [load("sotu").train[:200_000], chinese]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return BPETokenizer.train(texts, vocab_size=1500)


@pytest.fixture(scope="module")
def theirs(tokenizer, tmp_path_factory):
    """The same tokenizer in Hugging Face's library."""
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    tokenizer.save(path)
    return Tokenizer.from_file(str(path))


# --- There and back --------------------------------------------------------------------------


@given(text=ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_decoding_gives_back_every_text(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=HARD_TEXT)
@settings(deadline=None)
def test_decoding_gives_back_hard_texts(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("merges", [(), ((0, 0),)])
def test_the_bytes_alone_are_a_tokenizer(merges):
    tokenizer = BPETokenizer((*BYTES, b"!!"), merges)
    assert tokenizer.encode("!!! é").tolist() == ([256] if merges else [0, 0]) + [
        0,
        BYTE_ORDER.index(32),
        *(BYTE_ORDER.index(byte) for byte in "é".encode()),
    ]


def test_no_text_is_no_tokens(tokenizer):
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.encode("").dtype == tokenizer.encode("a").dtype == np.int64
    assert tokenizer.decode(np.array([], dtype=np.int64)) == ""


def test_bytes_that_are_no_text_become_replacement_characters(tokenizer, theirs):
    half = np.array([tokenizer.tokens.index(bytes([byte])) for byte in "é的".encode()][:-1])
    assert tokenizer.decode(half) == "é�" == theirs.decode(half.tolist())


@pytest.mark.parametrize("token", [-1, 1500])
def test_a_token_outside_the_vocabulary_is_refused(tokenizer, token):
    with pytest.raises(ValueError, match="between 0 and 1499"):
        tokenizer.decode(np.array([0, token]))


# --- Equal to Hugging Face's -----------------------------------------------------------------


@given(text=HARD_TEXT)
@settings(max_examples=500, deadline=None)
def test_tokens_are_those_of_hugging_face(tokenizer, theirs, text):
    assert tokenizer.encode(text).tolist() == theirs.encode(text).ids


@given(tokens=st.lists(st.integers(0, 1499), max_size=30))
@settings(deadline=None)
def test_any_tokens_decode_as_hugging_face_decodes_them(tokenizer, theirs, tokens):
    # Half characters (their bytes begin with ED) aside: those we give back, and Rust cannot hold.
    if b"\xed" not in b"".join(tokenizer.tokens[token] for token in tokens):
        assert tokenizer.decode(np.array(tokens, np.int64)) == theirs.decode(tokens)


@pytest.mark.parametrize("pattern", [None, DIGITS_APART])
def test_training_learns_the_merges_that_hugging_face_learns(texts, pattern, tmp_path):
    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pattern:
        from tokenizers import Regex

        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        cutter = pre_tokenizers.Sequence([split, byte_level])
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer, theirs.decoder = cutter, decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, show_progress=False),
    )
    theirs.save(str(tmp_path / "theirs.json"))

    ours = BPETokenizer.train(texts, 1200, **({"pattern": pattern} if pattern else {}))
    assert ours == BPETokenizer.load(tmp_path / "theirs.json")
    assert ours.encode(texts[1]).tolist() == theirs.encode(texts[1]).ids


# --- Learning --------------------------------------------------------------------------------


def merges_counted_anew(words, tokens, vocab_size):
    """The definition: count all pairs, join the most frequent, smallest numbers first; repeat."""
    words, tokens, merges = [(list(w), n) for w, n in words.items()], list(tokens), []
    while len(tokens) < vocab_size:
        count = Counter()
        for word, n in words:
            for pair in pairwise(word):
                count[pair] += n
        if not count:
            break
        pair = min(count, key=lambda pair: (-count[pair], pair))
        joined = tokens[pair[0]] + tokens[pair[1]]
        if joined not in tokens:
            tokens.append(joined)
        merges.append(pair)
        for word, _ in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == pair:
                    word[i : i + 2] = [tokens.index(joined)]
                i += 1
    return tokens, merges


WORD_COUNTS = st.dictionaries(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple),
    st.integers(1, 4),
    max_size=6,
)


@given(words=WORD_COUNTS, vocab_size=st.integers(3, 14))
@settings(max_examples=300, deadline=None)
def test_counts_kept_up_to_date_are_counts_made_anew(words, vocab_size):
    expected = merges_counted_anew(words, [b"a", b"b", b"c"], vocab_size)
    assert learn_merges(words, [b"a", b"b", b"c"], vocab_size) == expected


@pytest.mark.parametrize("vocab_size", [256, 257, 700, 1500])
def test_the_first_tokens_are_those_of_a_smaller_training(texts, tokenizer, vocab_size):
    assert tokenizer.first(vocab_size) == BPETokenizer.train(texts, vocab_size)


@pytest.mark.parametrize("vocab_size", [255, 1501])
def test_a_vocabulary_has_no_first_tokens_beyond_its_own(tokenizer, vocab_size):
    with pytest.raises(ValueError, match="not between 256 and 1500"):
        tokenizer.first(vocab_size)


def test_training_ends_when_nothing_is_left_to_join():
    tokenizer = BPETokenizer.train(["aaa"], vocab_size=1000)
    assert tokenizer.tokens[256:] == (b"aa", b"aaa")
    assert BPETokenizer.train([], vocab_size=1000).vocab_size == 256


def test_no_token_crosses_from_one_piece_to_the_next(tokenizer):
    for token in tokenizer.tokens:
        text = token.decode("utf-8", "ignore")
        assert len(list(cut(text))) <= 1


def test_a_vocabulary_without_room_for_the_bytes_is_refused():
    with pytest.raises(CourseError, match="255 tokens cannot hold the 256 bytes"):
        BPETokenizer.train(["a"], vocab_size=255)


@given(text=ANY_TEXT, pattern=st.sampled_from([r"\p{L}+", "x*", DIGITS_APART]))
@settings(deadline=None)
def test_pieces_together_are_the_text(text, pattern):
    assert "".join(cut(text, pattern)) == text
    assert "" not in cut(text, pattern)


def test_a_long_piece_is_encoded_in_n_log_n_steps(tokenizer, monkeypatch):
    pushes = Counter()
    push = heapq.heappush

    def counted(heap, item):
        pushes["n"] += 1
        push(heap, item)

    monkeypatch.setattr("course_lib.tokenization.bpe.heapq.heappush", counted)
    n = 50_000
    assert tokenizer.decode(tokenizer.encode("at" * (n // 2))) == "at" * (n // 2)
    assert pushes["n"] < 2 * n


# --- Files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [None, DIGITS_APART])
def test_a_saved_tokenizer_is_loaded_as_it_was(texts, pattern, tmp_path):
    tokenizer = BPETokenizer.train(texts[:1], 400, *([pattern] if pattern else []))
    tokenizer.save(tmp_path / "tokenizer.json")
    assert BPETokenizer.load(tmp_path / "tokenizer.json") == tokenizer


def test_gpt2s_old_notation_and_special_token_are_read(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    content = json.loads(path.read_text("utf-8"))
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    content["model"]["vocab"]["<|endoftext|>"] = 1500
    content["added_tokens"] = [{"id": 1500, "content": "<|endoftext|>"}]
    path.write_text(json.dumps(content), "utf-8")
    loaded = BPETokenizer.load(path)
    assert loaded.merges == tokenizer.merges
    assert loaded.tokens == (*tokenizer.tokens, b"<|endoftext|>")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalizer": {"type": "NFC"}}, "not byte-level BPE as this course"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "not byte-level BPE as this course"),
        ({"pre_tokenizer": None}, "not byte-level BPE as this course"),
        ({"model": {"type": "Unigram"}}, "of the kind Unigram; BPE is needed"),
        ({"model": {"type": "BPE", "vocab": {"a": 1}, "merges": []}}, "damaged"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}, "damaged"),
        ({"model": 3}, "holds no tokenizer"),
    ],
)
def test_another_kind_of_file_is_refused_in_one_line(tokenizer, tmp_path, change, said):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change), "utf-8")
    with pytest.raises(CourseError, match=said) as error:
        BPETokenizer.load(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CourseError, match=r"cannot read .*nowhere.json"):
        BPETokenizer.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("tokens", "merges", "said"),
    [
        (BYTES[1:], (), "the byte 33 is not a token"),
        ((*BYTES, b"a"), (), "the same bytes"),
        (BYTES, ((0, 1),), "makes no token"),
    ],
)
def test_a_vocabulary_that_cannot_work_is_refused(tokens, merges, said):
    with pytest.raises(ValueError, match=said):
        BPETokenizer(tokens, merges)
