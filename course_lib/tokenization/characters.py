"""Characters as tokens: the tokenizer of the ladder, where each symbol of the text is one token.

The alphabet is fixed beforehand, so every model of the book chooses among the same symbols and its
loss in nats per character can be compared with every other's. Encoding goes through NumPy rather
than a Python loop: five million characters take well under a second.
"""

import sys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt32

from course_lib.errors import CourseError

_UTF32 = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"  # one uint32 a character


@dataclass(frozen=True)
class CharacterTokenizer:
    """Turns text into the positions of its characters in `alphabet`, and back without loss.

    Raises ValueError when the alphabet is empty, not sorted, or repeats a character.
    """

    alphabet: str  # sorted, each character once; token i stands for alphabet[i]

    def __post_init__(self) -> None:
        if not self.alphabet or self.alphabet != "".join(sorted(set(self.alphabet))):
            raise ValueError("the alphabet must be sorted, unique characters, at least one")

    @classmethod
    def from_text(cls, text: str) -> "CharacterTokenizer":
        """The tokenizer whose alphabet is exactly the characters of `text`."""
        return cls("".join(sorted(set(text))))

    @property
    def vocab_size(self) -> int:
        return len(self.alphabet)

    def encode(self, text: str) -> Int[np.ndarray, " n"]:
        """The token of each character of `text`, as int64.

        Raises CourseError naming the first character that the alphabet lacks, and its position.
        """
        letters = _code_points(self.alphabet)
        characters = _code_points(text)
        # One entry for every code point up to the alphabet's last; the extra entry at the end
        # stands for all beyond. -1 marks what the alphabet lacks.
        token_of = np.full(int(letters[-1]) + 2, -1, dtype=np.int64)
        token_of[letters] = np.arange(len(letters))
        tokens = token_of[np.minimum(characters, letters[-1] + 1)]
        if tokens.size and tokens.min() < 0:
            position = int(np.argmax(tokens < 0))
            raise CourseError(
                f"the character {text[position]!r} (U+{ord(text[position]):04X}) at position "
                f"{position:,} is not among the {self.vocab_size} symbols of this alphabet; "
                "remove it from the text or use a tokenizer made from this text"
            )
        return tokens

    def decode(self, tokens: Int[np.ndarray, " n"]) -> str:
        """The text whose tokens these are.

        Raises ValueError when a token is negative or not below `vocab_size`.
        """
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocab_size:
            raise ValueError(f"tokens must lie between 0 and {self.vocab_size - 1}")
        return _code_points(self.alphabet)[tokens].tobytes().decode(_UTF32, "surrogatepass")


def _code_points(text: str) -> UInt32[np.ndarray, " n"]:
    # "surrogatepass" lets half characters, which Python strings may hold, go round like any other.
    return np.frombuffer(text.encode(_UTF32, "surrogatepass"), dtype=np.uint32)
