"""Our reader of GGUF files against the package gguf; what damaged files give."""

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.gguf import KINDS, dequantise, read_gguf

NUMBERS = {kind.name: number for number, kind in KINDS.items()}


def write_file(path, tensors):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_float32("llama.rope.freq_base", 10_000.0)
    writer.add_token_list(["a", "中", "Ġthe"])
    writer.add_token_types([1, 3, 1])
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def small_file(tmp_path):
    weights = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    quantised = gguf.quants.quantize(weights, gguf.GGMLQuantizationType.Q4_1)
    return write_file(
        tmp_path / "small.gguf",
        {
            "plain": (weights, None),
            "packed": (quantised, gguf.GGMLQuantizationType.Q4_1),
        },
    )


@pytest.mark.parametrize("kind", ["F32", "F16", "Q4_0", "Q4_1", "Q8_0"])
@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_blocks_are_unpacked_as_the_package_does_bit_for_bit(kind, seed):
    weights = np.random.default_rng(seed).normal(size=(3, 64)).astype(np.float32)
    theirs = gguf.GGMLQuantizationType[kind]
    packed = gguf.quants.quantize(weights, theirs)
    ours = KINDS[NUMBERS[kind]]
    blocks = torch.from_numpy(packed.view(np.uint8).reshape(-1, ours.n_bytes).copy())
    expected = torch.from_numpy(np.array(gguf.quants.dequantize(packed, theirs), np.float32))
    assert_close(ours.unpack(blocks).view(3, 64), expected, atol=0, rtol=0)


def test_a_file_is_read_as_the_package_reads_it(small_file):
    ours, theirs = read_gguf(small_file), gguf.GGUFReader(small_file)
    assert ours.metadata["llama.block_count"] == 2
    assert ours.metadata["tokenizer.ggml.tokens"] == ["a", "中", "Ġthe"]
    assert ours.metadata["tokenizer.ggml.token_type"] == [1, 3, 1]
    assert [t.name for t in theirs.tensors] == list(ours.tensors)
    for tensor in theirs.tensors:
        expected = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found = dequantise(ours.tensors[tensor.name])
        assert_close(found, torch.from_numpy(np.array(expected)), atol=0, rtol=0)


def test_every_truncation_is_one_clear_line(small_file, tmp_path):
    whole, cut = small_file.read_bytes(), tmp_path / "cut.gguf"
    for length in range(0, len(whole) - 32, 7):  # at the end there may be padding
        cut.write_bytes(whole[:length])
        with pytest.raises(CourseError) as error:
            read_gguf(cut)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 a zip", "not a GGUF file"),
        (b"", "empty"),
        (b"GGUF" + (9).to_bytes(4, "little") + bytes(40), "version 9"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16 + bytes(64), "cut off or damaged"),
    ],
)
def test_what_is_no_gguf_file_is_refused(content, message, tmp_path):
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(CourseError, match=message):
        read_gguf(tmp_path / "x.gguf")
    with pytest.raises(CourseError, match="there is no"):
        read_gguf(tmp_path / "none.gguf")
