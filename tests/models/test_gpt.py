"""Our GPT against Hugging Face's GPT-2 and Llama; what it may see; what its files withstand."""

import json
import math
import pickle
from dataclasses import asdict, replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import (
    BertConfig,
    BertLMHeadModel,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
)

from course_lib.errors import CourseError
from course_lib.models.gpt import GPT, GPTConfig

SMALL = GPTConfig(vocab_size=40, context=16, n_layers=2, n_heads=4, d_model=16)
KINDS = {
    "quick": SMALL,
    "gpt2": replace(
        SMALL,
        positions="learned",
        mlp="gelu_tanh",
        bias=True,
        qk_norm=False,
        tied=True,
        token_shift=False,
    ),
    "llama": replace(
        SMALL,
        norm="rms",
        mlp="swiglu",
        qk_norm=False,
        n_kv_heads=2,
        d_ff=24,
        token_shift=False,
    ),
    "sinusoidal": replace(SMALL, positions="sinusoidal", mlp="gelu"),
}


def shaken(model):
    """The same model with no weight left at a special value such as 0 or 1."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def tokens(batch=3, length=16, vocab_size=40):
    torch.manual_seed(2)
    return torch.randint(vocab_size, (batch, length))


@pytest.fixture(params=KINDS)
def model(request):
    return shaken(GPT(KINDS[request.param]))


# --- Hugging Face -----------------------------------------------------------------------------


def hf_gpt2(**settings):
    sizes = {"vocab_size": 40, "n_positions": 16, "n_layer": 2, "n_head": 4, "n_embd": 32}
    ends = {"bos_token_id": None, "eos_token_id": None}
    return shaken(GPT2LMHeadModel(GPT2Config(**sizes, **ends, **settings)))


def hf_llama(**settings):
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": 16}
    ends = {"bos_token_id": None, "eos_token_id": None}
    return shaken(LlamaForCausalLM(LlamaConfig(**sizes, **ends, **settings)))


HF_MODELS = {
    "gpt2": hf_gpt2,
    "gpt2 untied, exact gelu, narrow": lambda: hf_gpt2(
        tie_word_embeddings=False, activation_function="gelu", n_inner=24
    ),
    "llama": hf_llama,
    "llama grouped": lambda: hf_llama(num_key_value_heads=2),
    "llama with one key head, biases, tied, other base": lambda: hf_llama(
        num_key_value_heads=1,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
    ),
}


@pytest.fixture(params=HF_MODELS, scope="module")
def hf_model(request):
    return HF_MODELS[request.param]()


@torch.no_grad()
def test_our_gpt_is_hugging_faces(hf_model):
    ours = GPT.from_hf(hf_model)
    assert_close(ours(tokens()), hf_model(tokens()).logits, atol=1e-5, rtol=0)


@torch.no_grad()
def test_there_and_back_every_weight_and_logit_is_the_same(hf_model):
    back = GPT.from_hf(hf_model).to_hf()
    there = hf_model.state_dict()
    assert back.state_dict().keys() == there.keys()
    assert all(torch.equal(tensor, there[name]) for name, tensor in back.state_dict().items())
    assert torch.equal(back(tokens()).logits, hf_model(tokens()).logits)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@torch.no_grad()
def test_our_own_models_go_to_hugging_face_and_back(kind):
    ours = shaken(GPT(KINDS[kind]))
    theirs = ours.to_hf()
    assert_close(theirs(tokens()).logits, ours(tokens()), atol=1e-5, rtol=0)
    assert torch.equal(GPT.from_hf(theirs)(tokens()), ours(tokens()))


@pytest.mark.parametrize("kind", ["quick", "sinusoidal"])
def test_a_shape_that_hugging_face_lacks_is_refused(kind):
    with pytest.raises(CourseError, match="has no class for this GPT"):
        GPT(KINDS[kind]).to_hf()


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (lambda: GPT2Model(hf_gpt2().config), "GPT2Model has no head"),
        (lambda: hf_gpt2(scale_attn_by_inverse_layer_idx=True), "settings that GPT lacks"),
        (lambda: hf_gpt2(activation_function="relu"), "settings that GPT lacks"),
        (lambda: hf_llama(attention_bias=True), "settings that GPT lacks"),
        (
            lambda: hf_llama(
                rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
            ),
            "settings that GPT lacks",
        ),
        (
            lambda: BertLMHeadModel(
                BertConfig(
                    vocab_size=40,
                    hidden_size=8,
                    num_hidden_layers=1,
                    num_attention_heads=1,
                    intermediate_size=8,
                    is_decoder=True,
                )
            ),
            "a bert is neither",
        ),
    ],
    ids=["no head", "scaled by layer", "relu", "half biased", "stretched rotary", "bert"],
)
def test_a_hugging_face_model_that_would_not_be_equal_is_refused(theirs, message):
    with pytest.raises(CourseError, match=message):
        GPT.from_hf(theirs())


# --- what it computes -------------------------------------------------------------------------


@given(st.integers(1, 15), st.sampled_from(sorted(KINDS)))
@settings(deadline=None, max_examples=20)
@torch.no_grad()
def test_no_logit_sees_a_later_token(t, kind):
    model = shaken(GPT(KINDS[kind]))
    original = tokens()
    changed = original.clone()
    changed[:, t:] = (changed[:, t:] + 1) % 40
    difference = (model(original) - model(changed)).abs().amax(dim=(0, 2))
    assert difference[:t].max() <= 1e-6
    assert difference[t:].min() > 1e-3


@torch.no_grad()
def test_one_pass_is_as_many_passes_over_prefixes(model):
    together = model(tokens())
    for t in (1, 7, 16):
        assert_close(model(tokens()[:, :t])[:, -1], together[:, t - 1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_order_of_the_history_matters(model):
    history = tokens()
    swapped = history[:, [1, 0, *range(2, 16)]]
    assert (model(history) - model(swapped))[:, -1].abs().max() > 1e-3


@pytest.mark.parametrize("zero_init", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_model_knows_nothing(kind, zero_init):
    torch.manual_seed(0)
    # random logits of variance s² = 128 · 0.02² cost s²/2 = 0.026 nats; a tied head costs more, as
    # it favours the token just read
    model = GPT(replace(KINDS[kind], vocab_size=65, d_model=128, zero_init=zero_init))
    x = tokens(batch=32, length=17, vocab_size=65)
    loss = F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())
    assert abs(loss.item() - math.log(65)) < (0.12 if model.config.tied else 0.06)


def test_with_zero_init_every_block_does_nothing_yet():
    model = GPT(SMALL)
    x = torch.randn(2, 5, 16)
    assert all(torch.equal(block(x), x) for block in model.blocks)
    assert not torch.equal(GPT(replace(SMALL, zero_init=False)).blocks[0](x), x)


def test_the_shift_adds_a_share_of_the_token_before_and_none_to_the_first():
    model, plain = (GPT(replace(SMALL, n_layers=1, token_shift=s)) for s in (True, False))
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k != "shift"})
    torch.nn.init.constant_(model.shift, 0.5)
    x = model.embedding.weight[tokens()]  # with zero_init the block adds nothing
    x = torch.cat([x[:, :1], x[:, 1:] + 0.5 * x[:, :-1]], dim=1)
    assert_close(model(tokens()), plain.head(plain.norm(x)), atol=1e-6, rtol=0)


def test_every_parameter_gets_a_gradient(model):
    model(tokens()).square().sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in model.parameters())


@pytest.mark.parametrize(("kind", "total", "tables"), [("quick", 7520, 640), ("gpt2", 7488, 896)])
def test_the_number_of_parameters(kind, total, tables):
    # quick: 2 · 40 · 16, 2 layers of 12 · 16² + 2 · 16, and 2 · 16; gpt2: one table of 40, one of
    # 16 positions, 2 layers of 12 · 16² + 13 · 16, and 2 · 16
    model = GPT(KINDS[kind])
    assert model.n_parameters() == total
    assert model.n_parameters(embeddings=False) == total - tables


def test_a_text_longer_than_the_context_is_refused():
    with pytest.raises(CourseError, match="17 tokens do not fit in a context of 16"):
        GPT(SMALL)(tokens(length=17))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"n_layers": 0}, "n_layers is 0"),
        ({"n_kv_heads": 3}, "3 key/value heads"),
        ({"d_model": 16.0}, "d_model is 16.0"),
        ({"mlp": "tanh"}, "mlp is 'tanh'; choose one of gelu, gelu_tanh, relu, relu2, swiglu"),
        ({"n_heads": 3}, "3 heads must divide d_model = 16|width of 5 is odd"),
    ],
)
def test_an_impossible_config_is_refused(field, message):
    def build():
        config = object.__new__(GPTConfig)  # as in a notebook, where no hook checks types first
        config.__dict__.update(asdict(SMALL) | field)
        config.__post_init__()
        return GPT(config)

    with pytest.raises(CourseError, match=message):
        build()


# --- on disk ----------------------------------------------------------------------------------


@torch.no_grad()
def test_a_saved_model_comes_back_whole(model, tmp_path):
    model.save(tmp_path)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    loaded = GPT.load(tmp_path)
    assert loaded.config == model.config
    assert torch.equal(loaded(tokens()), model(tokens()))
    assert loaded.n_parameters() == model.n_parameters()  # a tied head is tied again


def test_a_save_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    old, new = shaken(GPT(SMALL)), GPT(SMALL)
    old.save(tmp_path)

    def power_cut(*_):
        raise OSError("power cut")

    monkeypatch.setattr("os.replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        new.save(tmp_path)
    assert torch.equal(GPT.load(tmp_path)(tokens()), old(tokens()))


def cut_off(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def other_weights(folder):
    GPT(replace(SMALL, n_layers=3)).save(folder / "other")
    (folder / "other" / "model.safetensors").replace(folder / "model.safetensors")


def same_shapes_other_meaning(folder):
    fields = json.loads((folder / "config.json").read_text()) | {"qk_norm": False}
    (folder / "config.json").write_text(json.dumps(fields))


def missing_tensor(folder):
    with_config = {"config": json.dumps(json.loads((folder / "config.json").read_text()), indent=2)}
    tensors = load_file(folder / "model.safetensors")
    del tensors["norm.weight"]
    save_file(tensors, folder / "model.safetensors", with_config)


class Explosive:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled!')",)


DAMAGES = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "there is no .*safetensors"),
    "no config": (lambda f: (f / "config.json").unlink(), "there is no .*config.json"),
    "cut off": (cut_off, "cut off or no safetensors"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "cut off or no safetensors"),
    "pickle": (
        lambda f: (f / "model.safetensors").write_bytes(pickle.dumps(Explosive())),
        "cut off or no safetensors",
    ),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not a GPT's config"),
    "config is a list": (lambda f: (f / "config.json").write_text("[1]"), "not a GPT's config"),
    "config of another kind": (
        lambda f: (f / "config.json").write_text('{"hidden_size": 3}'),
        "not a GPT's config",
    ),
    "weights of another model": (other_weights, "holds another model"),
    "another meaning": (same_shapes_other_meaning, "holds another model"),
    "a tensor is missing": (missing_tensor, "holds another model"),
    "foreign weights": (
        lambda f: save_file({"x": torch.ones(2)}, f / "model.safetensors"),
        "holds another model",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_or_foreign_folder_gives_one_clear_line(name, tmp_path):
    damage, message = DAMAGES[name]
    GPT(SMALL).save(tmp_path)
    damage(tmp_path)
    with pytest.raises(CourseError, match=message) as error:
        GPT.load(tmp_path)
    assert "\n" not in str(error.value)
