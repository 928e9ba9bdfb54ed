"""Where in a text each of its WordPiece tokens stands.

A tokenizer makes the text plain before it cuts it, so tokens are shorter or longer than what they
were made of. Who wants to cut an answer out of a text needs the way back from tokens to characters:

    tokens, spans = encode_with_offsets(tokenizer, "Très  chic!")
    text[slice(*spans[0])] == "Très"
"""

import numpy as np
from jaxtyping import Int

from course_lib.tokenization.wordpiece import PREFIX, UNKNOWN, WordPieceTokenizer, plain, words


def encode_with_offsets(
    tokenizer: WordPieceTokenizer, text: str
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, "n 2"]]:
    """The tokens of `tokenizer.encode(text)`, and the characters [start, end) that each covers.

    An unknown word is one token, which covers the whole word.
    """
    # Each character is made plain for itself, so what came of it is known.
    made = [plain(character, tokenizer.lowercase) for character in text]
    source = [place for place, became in enumerate(made) for _ in became]
    plain_text = "".join(made)
    spans, end = [], 0
    for word in words(text, tokenizer.lowercase):
        start = plain_text.index(word, end)  # only white space lies between
        end = start + len(word)
        for piece in tokenizer.pieces(word):
            length = len(word) if piece == UNKNOWN else len(piece.removeprefix(PREFIX))
            spans.append((source[start], source[start + length - 1] + 1))
            start += length
    return tokenizer.encode(text), np.array(spans, dtype=np.int64).reshape(-1, 2)
