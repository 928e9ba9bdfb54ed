"""Handwritten digits, the smallest real pictures there are: 1,797 of 8 × 8 pixels.

They come with scikit-learn, so nothing is downloaded. Of the UCI data set "Optical Recognition of
Handwritten Digits" (Alpaydin & Kaynak, 1998) they are the 1,797 of its test part, by 13 writers.
Who wrote which is not recorded, so our split is by picture: the test pictures are new, their
writers are not.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

SIZES = {"train": 1000, "validation": 250, "test": 547}


@dataclass(frozen=True)
class Digits:
    """Pictures and what they show."""

    x: Float[Tensor, "rows 64"]  # the pixels, row by row, from 0 (paper) to 1 (ink)
    y: Int[Tensor, " rows"]  # 0 to 9

    def take(self, rows: Int[Tensor, " taken"]) -> "Digits":
        """The pictures with these numbers, in this order."""
        return Digits(self.x[rows], self.y[rows])

    def __len__(self) -> int:
        return len(self.y)


def digits() -> dict[str, Digits]:
    """The parts "train", "validation" and "test", always the same pictures in the same order."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = torch.tensor(data.data[order] / 16, dtype=torch.float32)
    y = torch.tensor(data.target[order], dtype=torch.int64)
    ends = np.cumsum(list(SIZES.values())).tolist()
    starts = [0, *ends[:-1]]
    parts = zip(SIZES, starts, ends, strict=True)
    return {name: Digits(x[a:b], y[a:b]) for name, a, b in parts}
