"""GGUF: one file that holds a model's settings, vocabulary and quantised weights.

`read_gguf(path)` gives the metadata and the tensors, whose bytes stay on disk until they are asked
for; `dequantise(tensor)` turns their blocks into float32. Layout (all little-endian): the word
GGUF, a version, how many tensors and how many entries of metadata; the entries; the names, shapes,
kinds and offsets of the tensors; the blocks themselves.

The format is specified in ggml's docs/gguf.md (github.com/ggml-org/ggml), the blocks in its
ggml-common.h. The numbers are bit for bit those of the Python package `gguf`, which takes seconds
to index a vocabulary where this takes a tenth.
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from course_lib.errors import CourseError

# ---------------------------------------------------------------------------------------------
# Blocks
# ---------------------------------------------------------------------------------------------

BLOCK = 32  # weights in a block; each kind below has one scale a block

Blocks = UInt8[Tensor, "blocks bytes"]
Weights = Float[Tensor, "blocks 32"]


def q4_0(blocks: Blocks) -> Weights:
    """18 bytes: a scale d (float16) and 32 numbers q of 4 bits; w = d · (q − 8)."""
    return nibbles(blocks[:, 2:]).sub_(8).mul_(half(blocks, 0))


def q4_1(blocks: Blocks) -> Weights:
    """20 bytes: a scale d, a least value m, and 32 numbers q of 4 bits; w = d · q + m."""
    return nibbles(blocks[:, 4:]).mul_(half(blocks, 0)).add_(half(blocks, 2))


def q8_0(blocks: Blocks) -> Weights:
    """34 bytes: a scale d and 32 whole numbers q from −128 to 127; w = d · q."""
    return blocks[:, 2:].view(torch.int8).float().mul_(half(blocks, 0))


def half(blocks: Blocks, start: int) -> Float[Tensor, "blocks 1"]:
    """The float16 that begins at byte `start` of each block."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def nibbles(packed: UInt8[Tensor, "blocks 16"]) -> Weights:
    """The 32 numbers in 16 bytes: first all low halves of the bytes, then all high halves."""
    numbers = torch.empty(len(packed), BLOCK)
    numbers[:, :16] = packed & 15
    numbers[:, 16:] = packed >> 4
    return numbers


@dataclass(frozen=True)
class Kind:
    """How weights are stored: so many in so many bytes."""

    name: str
    weights: int
    n_bytes: int
    unpack: Callable[[Blocks], Float[Tensor, "blocks weights"]]


KINDS = {  # by the number that the file has
    0: Kind("F32", 1, 4, lambda blocks: blocks.contiguous().view(torch.float32).clone()),
    1: Kind("F16", 1, 2, lambda blocks: blocks.contiguous().view(torch.float16).float()),
    2: Kind("Q4_0", BLOCK, 18, q4_0),
    3: Kind("Q4_1", BLOCK, 20, q4_1),
    8: Kind("Q8_0", BLOCK, 34, q8_0),
}


# ---------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GGUFTensor:
    """A matrix or vector as the file has it."""

    name: str
    shape: tuple[int, ...]  # rows first, as in torch (the file has columns first)
    kind: Kind
    blocks: UInt8[np.ndarray, "blocks bytes"]  # read from disk where they are touched


@dataclass(frozen=True)
class GGUFFile:
    """What is in a GGUF file."""

    metadata: dict[str, Any]  # settings ("llama.block_count") and vocabulary
    tensors: dict[str, GGUFTensor]


def dequantise(tensor: GGUFTensor) -> Float[Tensor, "*shape"]:
    """The weights as float32."""
    blocks = torch.from_numpy(np.array(tensor.blocks))  # a copy: the file cannot be written to
    return tensor.kind.unpack(blocks).view(tensor.shape)


def read_gguf(path: Path) -> GGUFFile:
    """Read a GGUF file of version 2 or 3.

    Raises CourseError when there is no such file, it is of another kind or cut off, or its weights
    are stored in a way that this module lacks.
    """
    try:
        with path.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise CourseError(f"there is no {path}; name a GGUF file") from None
    except ValueError:  # an empty file cannot be mapped
        raise CourseError(f"{path} is empty; get it again") from None
    if bytes(content[:4]) != b"GGUF":
        raise CourseError(f"{path} is not a GGUF file; name one, or get it again")
    reader = _Reader(content, at=4)
    try:
        version = reader.number("I")
        if version not in (2, 3):
            raise CourseError(f"{path} is GGUF version {version}; this course reads 2 and 3")
        n_tensors, n_entries = reader.number("Q"), reader.number("Q")
        metadata = {}
        for _ in range(n_entries):
            name = reader.text()
            metadata[name] = reader.value(reader.number("I"))
        described = [reader.tensor() for _ in range(n_tensors)]
        align = metadata.get("general.alignment", 32)
        start = -(-reader.at // align) * align  # the next multiple
        tensors = {}
        for name, shape, kind_number, offset in described:
            if kind_number not in KINDS:
                have = ", ".join(kind.name for kind in KINDS.values())
                raise CourseError(
                    f"{path} stores {name} as kind {kind_number}; this course reads {have}"
                )
            kind = KINDS[kind_number]
            n_blocks, rest = divmod(int(np.prod(shape, dtype=object)), kind.weights)
            if rest:
                raise ValueError(f"{name} is no whole number of blocks")
            part = reader.part(start + offset, n_blocks * kind.n_bytes)
            blocks = np.frombuffer(part, np.uint8).reshape(n_blocks, kind.n_bytes)
            tensors[name] = GGUFTensor(name, shape, kind, blocks)
    except (struct.error, ValueError, OverflowError) as error:
        raise CourseError(f"{path} is cut off or damaged ({error}); get it again") from None
    return GGUFFile(metadata, tensors)


_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}  # type → letter of `struct`
_TEXT, _LIST = 8, 9
_LONGEST_LIST = 10_000_000  # more is damage: it would fill the memory


class _Reader:
    """Takes one thing after another from the beginning of a file."""

    def __init__(self, content: memoryview, at: int) -> None:
        self.content, self.at = content, at

    def part(self, start: int, n_bytes: int) -> memoryview:
        if start + n_bytes > len(self.content):
            raise ValueError(f"{start + n_bytes:,} bytes needed, {len(self.content):,} there")
        return self.content[start : start + n_bytes]

    def take(self, n_bytes: int) -> memoryview:
        part = self.part(self.at, n_bytes)
        self.at += n_bytes
        return part

    def number(self, letter: str) -> int | float | bool:
        return struct.unpack("<" + letter, self.take(struct.calcsize("<" + letter)))[0]

    def text(self) -> str:
        return str(self.take(self.number("Q")), "utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            if kind not in _NUMBERS:
                raise ValueError(f"there is no type {kind}")
            return self.number(_NUMBERS[kind])
        kind, n = self.number("I"), self.number("Q")
        if n > _LONGEST_LIST:
            raise ValueError(f"a list of {n:,} entries")
        if kind in _NUMBERS:
            letters = f"<{n}{_NUMBERS[kind]}"
            return list(struct.unpack(letters, self.take(struct.calcsize(letters))))
        return self.texts(n) if kind == _TEXT else [self.value(kind) for _ in range(n)]

    def texts(self, n: int) -> list[str]:
        """A list of texts, in one loop: a vocabulary and its merges have 100,000."""
        content, at, found = self.content, self.at, []
        for _ in range(n):
            start = at + 8
            at = start + int.from_bytes(content[at:start], "little")
            if at > len(content):
                raise ValueError(f"{at:,} bytes needed, {len(content):,} there")
            found.append(str(content[start:at], "utf-8", "replace"))
        self.at = at
        return found

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, kind and offset."""
        name = self.text()
        shape = [self.number("Q") for _ in range(self.number("I"))]
        return name, tuple(shape[::-1]), self.number("I"), self.number("Q")
