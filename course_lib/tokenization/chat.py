"""The tokenizer of a chat model: text, the tokens that no text can contain, and the template.

A chat model was tuned on conversations written in one form, its *template*. Here it is ChatML:

    <|im_start|>system
    You are a helpful AI assistant …<|im_end|>
    <|im_start|>user
    What is the capital of France?<|im_end|>
    <|im_start|>assistant

and the model goes on from there until it writes <|im_end|>. The two marks are single tokens of
their own. What a user types is encoded as text only, so nobody can type a mark and speak as the
system: `encode` never gives a special token, `encode_chat` puts them where they belong.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
from jaxtyping import Int

from course_lib.errors import CourseError
from course_lib.tokenization.bpe import BPETokenizer

START, END = "<|im_start|>", "<|im_end|>"


class Message(TypedDict):
    """One turn of a conversation."""

    role: str  # "system", "user" or "assistant"
    content: str


@dataclass(frozen=True)
class ChatTokenizer:
    """Text and conversations as tokens, and back.

    Raises CourseError when the vocabulary lacks the marks of ChatML.
    """

    bpe: BPETokenizer
    special: Mapping[str, int]  # the marks and their tokens
    system: str  # what the model is told where the conversation does not begin with a system turn

    def __post_init__(self) -> None:
        if missing := [mark for mark in (START, END) if mark not in self.special]:
            raise CourseError(f"the vocabulary has no {missing[0]}; this model knows no ChatML")

    @property
    def vocab_size(self) -> int:
        return self.bpe.vocab_size

    @property
    def end(self) -> int:
        """The token that ends a turn: where generation stops."""
        return self.special[END]

    def encode(self, text: str) -> Int[np.ndarray, " n"]:
        """The tokens of `text`; the name of a mark in it is text like any other."""
        return self.bpe.encode(text)

    def decode(self, tokens: Int[np.ndarray, " n"]) -> str:
        """The text of the tokens, marks by their names."""
        return self.bpe.decode(tokens)

    def decode_stream(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text of the tokens as they come, each character as soon as it is whole."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for token in tokens:
            yield decoder.decode(self.bpe.tokens[token])
        yield decoder.decode(b"", final=True)

    def with_system(self, messages: Sequence[Message]) -> list[Message]:
        """The conversation, with the usual system turn first if it has none."""
        if messages and messages[0]["role"] == "system":
            return list(messages)
        return [{"role": "system", "content": self.system}, *messages]

    def render(self, messages: Sequence[Message], answer: bool = True) -> str:
        """The conversation in ChatML as people read it; with `answer`, up to where one begins."""
        turns = [
            f"{START}{message['role']}\n{message['content']}{END}\n"
            for message in self.with_system(messages)
        ]
        return "".join(turns) + (f"{START}assistant\n" if answer else "")

    def encode_chat(
        self, messages: Sequence[Message], answer: bool = True
    ) -> Int[np.ndarray, " n"]:
        """The tokens of the conversation in ChatML; with `answer`, up to where one begins."""
        start, end, newline = [self._start], [self.end], self.encode("\n")
        parts = []
        for message in self.with_system(messages):
            turn = self.encode(f"{message['role']}\n{message['content']}")
            parts += [start, turn, end, newline]
        if answer:
            parts += [start, self.encode("assistant\n")]
        return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])

    @cached_property
    def _start(self) -> int:
        return self.special[START]
