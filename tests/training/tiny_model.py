"""A language model of a few hundred weights, and a text, for the tests of training."""

import numpy as np
import torch
from torch import nn

from course_lib.training.batches import RandomWindows
from course_lib.training.optimizers import AdamW, Muon, split_parameters

VOCAB, CONTEXT = 24, 8
TEXT = np.random.default_rng(0).integers(VOCAB, size=2000) // np.random.default_rng(1).integers(
    1, VOCAB, size=2000
)  # small numbers are frequent


class TinyLM(nn.Module):
    """Predicts each token from the one before it."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, 16)
        self.up = nn.Linear(16, 32)
        self.dropout = nn.Dropout(dropout)
        self.down = nn.Linear(32, 16)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, VOCAB)

    def forward(self, tokens):
        x = self.embedding(tokens)
        return self.head(self.norm(x + self.down(self.dropout(self.up(x).relu()))))


def tiny_lm(dropout=0.0):
    torch.manual_seed(0)
    return TinyLM(dropout)


def windows(batch_size=8):
    return RandomWindows(TEXT, CONTEXT, batch_size, seed=3)


def optimizers(model):
    """Muon in float32, whatever is fast here, and AdamW."""
    matrices, rest = split_parameters(model)
    return [Muon(matrices, dtype="float32"), AdamW(rest, lr=3e-3, fused=True)]


def without_clock(history):
    """The history's numbers but for the seconds, which no two runs share."""
    return {name: value for name, value in vars(history).items() if "seconds" not in name}
