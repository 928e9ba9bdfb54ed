"""What a BERT reads: [CLS] a [SEP], or [CLS] a [SEP] b [SEP], and which of it is what.

    special = SpecialTokens.of(tokenizer)
    inputs = encoder_inputs([(question, answer)], special)
    model(*inputs)  # ids, segments, attention_mask

Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section 3 and
figure 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from course_lib.errors import CourseError
from course_lib.tokenization.wordpiece import WordPieceTokenizer

Tokens = Sequence[int] | Int[np.ndarray, " _"]


@dataclass(frozen=True)
class SpecialTokens:
    """The numbers of the tokens that are not text."""

    pad: int  # fills shorter rows up; nobody looks at it
    cls: int  # opens every input; its vector stands for the whole
    sep: int  # closes each of the one or two texts
    mask: int  # stands where a token is hidden

    @classmethod
    def of(cls, tokenizer: WordPieceTokenizer) -> "SpecialTokens":
        """Those of a tokenizer. Raises CourseError when its vocabulary lacks one."""
        names = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
        try:
            return cls(*(tokenizer.tokens.index(name) for name in names))
        except ValueError:
            raise CourseError(
                f"the vocabulary lacks one of {', '.join(names)}; take the tokenizer of a BERT"
            ) from None


class EncoderInputs(NamedTuple):
    """A batch as `Bert.forward` takes it."""

    ids: Int[Tensor, "batch tokens"]
    segments: Int[Tensor, "batch tokens"]  # 0: [CLS] a [SEP] and padding; 1: b [SEP]
    attention_mask: Bool[Tensor, "batch tokens"]  # True where there is no padding


def encoder_inputs(
    texts: Sequence[Tokens | tuple[Tokens, Tokens]],
    special: SpecialTokens,
    max_tokens: int | None = None,
) -> EncoderInputs:
    """Texts, or pairs of texts, as one rectangle; a text is its tokens without special ones.

    What is longer than `max_tokens`, special tokens included, is cut: the longer text of a pair
    loses its last token until both fit.

    >>> inputs = encoder_inputs([([7, 8], [9]), [5]], SpecialTokens(pad=0, cls=2, sep=3, mask=4))
    >>> inputs.ids.tolist()
    [[2, 7, 8, 3, 9, 3], [2, 5, 3, 0, 0, 0]]
    >>> inputs.segments.tolist()
    [[0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]

    Raises CourseError when there are no texts, or no room beside the special tokens.
    """
    if not len(texts):
        raise CourseError("a batch of no texts; give at least one")
    rows = []
    for text in texts:
        pair = text if isinstance(text, tuple) else (text,)
        rows.append([list(part) for part in _cut(pair, max_tokens)])
    longest = max(sum(len(part) + 1 for part in row) + 1 for row in rows)
    ids = np.full((len(rows), longest), special.pad)
    segments = np.zeros_like(ids)
    lengths = np.zeros(len(rows), dtype=int)
    for i, row in enumerate(rows):
        ids[i, 0], end = special.cls, 1
        for segment, part in enumerate(row):
            start, end = end, end + len(part) + 1
            ids[i, start:end] = [*part, special.sep]
            segments[i, start:end] = segment
        lengths[i] = end
    attention_mask = np.arange(longest) < lengths[:, None]
    return EncoderInputs(*map(torch.from_numpy, (ids, segments, attention_mask)))


def _cut(texts: tuple[Tokens, ...], max_tokens: int | None) -> list[Tokens]:
    """The beginnings of one or two texts that fit beside the special tokens."""
    if max_tokens is None:
        return list(texts)
    room = max_tokens - 1 - len(texts)
    if room < len(texts):
        raise CourseError(
            f"max_tokens = {max_tokens} leaves no room for text beside [CLS] and [SEP]; give more"
        )
    if len(texts) == 1:
        return [texts[0][:room]]
    a, b = texts
    n_a = room_of_the_first(len(a), len(b), room)
    return [a[:n_a], b[: room - n_a]]


def room_of_the_first(n_a: int, n_b: int, room: int) -> int:
    """How many of its tokens the first text of a pair keeps where both share `room`: half of it,
    or what the second leaves free."""
    return min(n_a, max(room - n_b, room - room // 2))
