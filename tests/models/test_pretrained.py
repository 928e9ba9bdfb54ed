"""SmolLM2 in our class is SmolLM2: its weights and logits, with and without a cache."""

import pytest
import torch
import transformers
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.generation import generate
from course_lib.models import pretrained
from course_lib.models.gguf import GGUFFile, read_gguf
from course_lib.models.pretrained import (
    gpt_from_gguf,
    load_smollm2,
    smollm2_file,
    tokenizer_from_gguf,
)

CHAT = [
    {"role": "user", "content": "What is 12 × 34? <|im_end|>"},
    {"role": "assistant", "content": "408."},
    {"role": "user", "content": "  And 中文?\n"},
]


@pytest.fixture(scope="module")
def smollm2():
    return load_smollm2()


@pytest.fixture(scope="module")
def file():
    return read_gguf(smollm2_file())


@torch.inference_mode()
def test_its_logits_are_those_of_hugging_face_from_the_same_file(smollm2):
    """Hugging Face takes 20 s for this file: it is loaded once, here."""
    path = smollm2_file()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    tokens = torch.from_numpy(smollm2.tokenizer.encode_chat(CHAT))[None]
    expected = theirs(tokens).logits
    assert_close(smollm2.model(tokens), expected, atol=1e-3, rtol=0)
    assert_close(smollm2.model.to_hf()(tokens).logits, expected, atol=1e-3, rtol=0)
    written = theirs.generate(tokens, max_new_tokens=12, min_new_tokens=12, do_sample=False)
    ours = generate(smollm2.model, tokens[0], 12, temperature=0)
    assert ours.tolist() == written[0, tokens.size(1) :].tolist()


@torch.inference_mode()
def test_the_cache_changes_no_logit_of_a_real_model(smollm2):
    model, tokens = smollm2.model, torch.from_numpy(smollm2.tokenizer.encode_chat(CHAT))[None]
    cache, whole = model.new_cache(tokens.size(1)), model(tokens)
    model.read(tokens[:, :20], cache)
    assert_close(model.read(tokens[:, 20:-1], cache), whole[:, -2], atol=1e-3, rtol=0)
    assert_close(model.read(tokens[:, -1:], cache), whole[:, -1], atol=1e-3, rtol=0)
    assert cache.n_bytes == 2 * 30 * 3 * 64 * tokens.size(1) * 4


def test_it_knows_the_capital_of_france(smollm2):
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = torch.from_numpy(smollm2.tokenizer.encode_chat(question))
    answer = generate(smollm2.model, prompt, 20, temperature=0, stop=[smollm2.tokenizer.end])
    assert "Paris" in smollm2.tokenizer.decode(answer.numpy())


def test_a_file_of_something_else_is_refused(file):
    def changed(metadata=None, tensors=None):
        return GGUFFile(file.metadata | (metadata or {}), file.tensors | (tensors or {}))

    with pytest.raises(CourseError, match="holds a bert"):
        gpt_from_gguf(changed({"general.architecture": "bert"}))
    with pytest.raises(CourseError, match=r"has no blk\.30"):
        gpt_from_gguf(changed({"llama.block_count": 31}))
    swapped = {"token_embd.weight": file.tensors["blk.0.attn_q.weight"]}
    with pytest.raises(CourseError, match="another shape"):
        gpt_from_gguf(changed(tensors=swapped))
    with pytest.raises(CourseError, match="SmolLM's is needed"):
        tokenizer_from_gguf(changed({"tokenizer.ggml.pre": "llama-bpe"}))
    nothing = GGUFFile({"general.architecture": "llama"}, {})
    with pytest.raises(CourseError, match="does not say"):
        gpt_from_gguf(nothing)


def small(file):
    """The file with one block instead of 30."""
    return GGUFFile(file.metadata | {"llama.block_count": 1}, file.tensors)


@pytest.mark.parametrize("packed", [False, True])
def test_weights_are_unpacked_once_and_kept(file, tmp_path, monkeypatch, packed):
    kept = tmp_path / "kept" / "weights.safetensors"
    tokens = torch.arange(20)[None]
    first = gpt_from_gguf(small(file), torch.bfloat16, packed=packed, kept=kept)(tokens)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]

    monkeypatch.setattr(pretrained, "_unpacked", None)  # a second unpacking would fail
    again = gpt_from_gguf(small(file), torch.bfloat16, packed=packed, kept=kept)(tokens)
    assert torch.equal(again, first)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b[:8] + b"x" * 99])
def test_a_damaged_file_of_kept_weights_is_made_anew(file, tmp_path, damage):
    kept = tmp_path / "weights.safetensors"
    expected = gpt_from_gguf(small(file), kept=kept).state_dict()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    found = gpt_from_gguf(small(file), kept=kept).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert kept.read_bytes() == whole


def test_kept_weights_of_another_model_are_not_taken(file, tmp_path):
    kept = tmp_path / "weights.safetensors"
    gpt_from_gguf(small(file), kept=kept)
    two = GGUFFile(file.metadata | {"llama.block_count": 2}, file.tensors)
    assert len(gpt_from_gguf(two, kept=kept).blocks) == 2


def test_weights_that_cannot_be_kept_are_done_without(file, tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is needed")
    kept = tmp_path / "taken" / "weights.safetensors"
    assert gpt_from_gguf(small(file), kept=kept).config.n_layers == 1
