"""A classifier's answers as a record keeps them: which were right, and at what price in nats.

results = scored(logits, examples.labels)           # JSON can hold it
right = unpacked(results["right"], results["n"])    # 1s and 0s again, for `compare`
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int


def packed(correct: Float[np.ndarray, " n"]) -> str:
    """1s and 0s as hexadecimal digits, four a digit: what a record can hold of 10,000 texts."""
    return np.packbits(correct.astype(bool)).tobytes().hex()


def unpacked(digits: str, n: int) -> Float[np.ndarray, " n"]:
    """The first `n` 1s and 0s of what `packed` wrote."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8))
    return bits[:n].astype(float)


def scored(logits: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> dict[str, Any]:
    """Accuracy, which answers were right (packed), how many there are, and mean nats a text.

    Log-probabilities serve as logits.
    """
    right = (logits.argmax(1) == labels).astype(float)
    nats = F.cross_entropy(torch.from_numpy(logits).float(), torch.from_numpy(labels))
    return {
        "accuracy": float(right.mean()),
        "right": packed(right),
        "n": len(right),
        "nats": round(nats.item(), 4),
    }
