"""Layers that keep 4-bit blocks compute what the unpacked weights compute."""

import pytest
import torch
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.generation import generate
from course_lib.models.gguf import dequantise, read_gguf
from course_lib.models.packed import PackedLinear, pack
from course_lib.models.pretrained import gpt_from_gguf, load_smollm2, smollm2_file


@pytest.fixture(scope="module")
def file():
    return read_gguf(smollm2_file())


@pytest.mark.parametrize("rows", [1, 7])
def test_a_packed_layer_is_its_unpacked_one_up_to_rounding(file, rows):
    tensors = [file.tensors[f"blk.3.attn_{name}.weight"] for name in "qkv"]
    torch.manual_seed(0)
    x = torch.randn(2, rows, 576).bfloat16()
    expected = x.float() @ torch.cat([dequantise(t) for t in tensors]).T
    found = PackedLinear(**pack(tensors))(x)
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), expected, atol=0.02 * expected.std().item(), rtol=0.02)


@torch.inference_mode()
def test_a_packed_model_strays_no_further_than_one_in_bfloat16(file):
    packed = load_smollm2(torch.bfloat16, packed=True)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = torch.from_numpy(packed.tokenizer.encode_chat(question))
    exact = gpt_from_gguf(file)(prompt[None])
    error = (packed.model(prompt[None]).float() - exact).abs().mean()
    half = (gpt_from_gguf(file, torch.bfloat16)(prompt[None]).float() - exact).abs().mean()
    assert error < 2 * half < 0.1 * exact.abs().mean()
    written = generate(packed.model, prompt, 20, temperature=0, stop=[packed.tokenizer.end])
    assert "Paris" in packed.tokenizer.decode(written.numpy())


def test_what_cannot_be_packed_is_refused(file):
    with pytest.raises(CourseError, match="not of kind Q4_1"):
        pack([file.tensors["token_embd.weight"]])
    with pytest.raises(CourseError, match="bfloat16"):
        gpt_from_gguf(file, packed=True)
