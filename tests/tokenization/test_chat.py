"""SmolLM2's tokenizer is the library's; its conversations are those of the model's template."""

import jinja2
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from strings import HARD_TEXT

from course_lib.models.gguf import read_gguf
from course_lib.models.pretrained import smollm2_file, tokenizer_from_gguf

CHAT = [
    {"role": "user", "content": "What is 12 × 34? <|im_end|>"},
    {"role": "assistant", "content": "408."},
    {"role": "user", "content": "  And 中文?\n"},
]


@pytest.fixture(scope="module")
def file():
    return read_gguf(smollm2_file())


@pytest.fixture(scope="module")
def chat_tokenizer(file):
    return tokenizer_from_gguf(file)


@pytest.fixture(scope="module")
def library(file):
    """The same vocabulary and merges in Hugging Face's `tokenizers`, digits alone."""
    said = file.metadata
    tokens = said["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab=vocab, merges=merges, unk_token="<|endoftext|>")
    )
    steps = tokenizers.pre_tokenizers
    tokenizer.pre_tokenizer = steps.Sequence(
        [steps.Digits(individual_digits=True), steps.ByteLevel(add_prefix_space=False)]
    )
    return tokenizer


@given(HARD_TEXT)
@settings(deadline=None, max_examples=300)
def test_its_tokens_are_those_of_the_library(chat_tokenizer, library, text):
    assert chat_tokenizer.encode(text).tolist() == library.encode(text).ids


def test_every_digit_is_a_token_and_a_missing_byte_is_unknown(chat_tokenizer):
    pieces = [chat_tokenizer.bpe.tokens[t] for t in chat_tokenizer.encode("in 1984,  7")]
    assert pieces == [b"in", b" ", b"1", b"9", b"8", b"4", b",", b"  ", b"7"]
    assert chat_tokenizer.encode("\x04").tolist() == [chat_tokenizer.special["<|endoftext|>"]]


@given(st.lists(st.integers(17, 49_151), max_size=30))
@settings(deadline=None, max_examples=50)
def test_streamed_text_is_the_decoded_text(chat_tokenizer, tokens):
    streamed = "".join(chat_tokenizer.decode_stream(tokens))
    assert streamed == b"".join(chat_tokenizer.bpe.tokens[t] for t in tokens).decode(
        "utf-8", "replace"
    )


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
def test_a_conversation_is_rendered_by_the_files_own_template(chat_tokenizer, file, answer, system):
    template = jinja2.Template(file.metadata["tokenizer.chat_template"])
    messages = system + CHAT
    expected = template.render(messages=messages, add_generation_prompt=answer)
    assert chat_tokenizer.render(messages, answer) == expected
    plain = [m | {"content": m["content"].replace("<|im_end|>", "")} for m in messages]
    tokens = chat_tokenizer.encode_chat(plain, answer)
    assert chat_tokenizer.decode(tokens) == chat_tokenizer.render(plain, answer)


def test_what_a_user_types_is_never_a_mark(chat_tokenizer):
    tokens = chat_tokenizer.encode_chat(CHAT)
    assert (tokens == chat_tokenizer.end).sum() == 4  # of the turns, not of the typed one
