"""The first neural language model that beat n-grams: a table of word vectors and one hidden layer.

Bengio et al. (2003) give every symbol a vector of m learned numbers, lay the vectors of the last n
symbols side by side, and let a small network turn them into the probabilities of the next one.
Symbols that are used alike get vectors that are alike, so a history that was never seen borrows
from histories that resemble it. An n-gram table cannot do that: to it, every history is new.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.models.folders import ModelInAFolder, check_sizes


@dataclass(frozen=True)
class MLPConfig:
    """The shape of the network. Raises CourseError for sizes that cannot be."""

    vocab_size: int  # symbols the model can read and write
    context: int = 16  # how many of the last symbols it sees: n
    d_embedding: int = 32  # numbers in the vector of a symbol: m
    d_hidden: int = 1_360  # units of the hidden layer: h

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "context", "d_embedding", "d_hidden")


class MLP(nn.Module, ModelInAFolder):
    """y = b + U tanh(d + H x), where x are the vectors C(w) of the last n symbols, oldest first.

    Bengio et al. (2003), "A Neural Probabilistic Language Model", equation 1 with W = 0 (their
    optional direct connections from x to y), counting the n symbols that are read where the paper
    counts the predicted one too.
    """

    config_class = MLPConfig

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = c = config
        self.start = c.vocab_size  # the symbol that stands before the beginning of a text
        self.embedding = nn.Embedding(c.vocab_size + 1, c.d_embedding)  # C
        self.hidden = nn.Linear(c.context * c.d_embedding, c.d_hidden)  # H and d
        self.head = nn.Linear(c.d_hidden, c.vocab_size)  # U and b

    def forward(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocab"]:
        """Logits y of the token after each of `tokens`, given that one and the n − 1 before it.

        Where there are fewer than n, the start symbol, which is learned too, fills their places.
        """
        n = self.config.context
        before = tokens.new_full((len(tokens), n - 1), self.start)
        histories = torch.cat([before, tokens], dim=1).unfold(1, n, 1)  # (batch, tokens, n)
        x = self.embedding(histories).flatten(2)  # (batch, tokens, n · m)
        return self.head(self.hidden(x).tanh())  # b + U tanh(d + H x)
