"""The encoder–decoder against torch's own, and what each token may see."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.attention import scaled_dot_product_attention
from course_lib.models.encoder_decoder import (
    END,
    PAD,
    START,
    CrossAttention,
    EncoderDecoder,
    EncoderDecoderConfig,
)

SMALL = EncoderDecoderConfig(9, 11, context=12, n_layers=2, n_heads=2, d_model=8, bias=True)
SOURCE = torch.tensor([[3, 4, 5, END], [6, END, PAD, PAD]])
TARGET = torch.tensor([[START, 3, 4, 5, 6], [START, 7, 8, END, PAD]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = EncoderDecoder(SMALL).eval()
    for parameter in made.parameters():  # no bias or gain stays at a value that hides a mistake
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    return made


def into_torch(ours, theirs):
    """Copy the weights of a block of ours into torch's layer of the same shape."""
    theirs.norm_first = True
    ours = dict(ours.named_parameters())

    def copy(to, name):
        to.weight.data.copy_(ours[f"{name}.weight"])
        to.bias.data.copy_(ours[f"{name}.bias"])

    def copy_attention(to, name, parts):
        for kind in ("weight", "bias"):
            together = torch.cat([ours[f"{name}.{part}.{kind}"] for part in parts])
            getattr(to, f"in_proj_{kind}").data.copy_(together)
        copy(to.out_proj, f"{name}.out")

    copy_attention(theirs.self_attn, "attention", ["qkv"])
    norms = ["attention_norm", "mlp_norm"]
    if isinstance(theirs, nn.TransformerDecoderLayer):
        copy_attention(theirs.multihead_attn, "cross_attention", ["q", "kv"])
        norms = ["attention_norm", "cross_norm", "mlp_norm"]
    for i, name in enumerate(norms):
        copy(getattr(theirs, f"norm{i + 1}"), name)
    copy(theirs.linear1, "mlp.up")
    copy(theirs.linear2, "mlp.down")
    return theirs.eval()


def test_a_block_of_the_encoder_is_torchs_pre_norm_encoder_layer(model):
    x, mask = torch.randn(2, 4, 8), SOURCE != PAD
    theirs = into_torch(model.encoder[0], nn.TransformerEncoderLayer(8, 2, 32, batch_first=True))
    expected = theirs(x, src_key_padding_mask=~mask)
    ours = model.encoder[0](x, mask[:, None])
    assert_close(ours[mask], expected[mask], atol=1e-5, rtol=0)


def test_a_block_of_the_decoder_is_torchs_pre_norm_decoder_layer(model):
    x, memory, mask = torch.randn(2, 5, 8), torch.randn(2, 4, 8), SOURCE != PAD
    theirs = into_torch(model.decoder[0], nn.TransformerDecoderLayer(8, 2, 32, batch_first=True))
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = theirs(x, memory, tgt_mask=future, memory_key_padding_mask=~mask)
    assert_close(model.decoder[0](x, memory, mask[:, None]), expected, atol=1e-5, rtol=0)


def test_cross_attention_is_the_formula_head_by_head():
    layer, x, memory = CrossAttention(8, 2), torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    k, v = layer.kv(memory).chunk(2, dim=-1)
    heads, weights = zip(
        *(
            scaled_dot_product_attention(layer.q(x)[..., h], k[..., h], v[..., h])
            for h in (slice(0, 4), slice(4, 8))
        ),
        strict=True,
    )
    assert_close(layer(x, memory), layer.out(torch.cat(heads, dim=-1)), atol=1e-6, rtol=0)
    assert_close(layer.weights(x, memory), torch.stack(weights, dim=1), atol=1e-6, rtol=0)


def test_padding_changes_nothing(model):
    alone = model(SOURCE[1:, :2], TARGET[1:, :4])
    assert_close(model(SOURCE, TARGET)[1:, :4], alone, atol=1e-5, rtol=0)


def test_one_pass_of_the_decoder_is_a_pass_for_each_prefix(model):
    whole = model(SOURCE, TARGET)
    for n in range(1, TARGET.size(1) + 1):
        assert_close(model(SOURCE, TARGET[:, :n])[:, -1], whole[:, n - 1], atol=1e-5, rtol=0)


def test_every_target_token_depends_on_every_source_token(model):
    memory, mask = model.encode(SOURCE)
    memory = memory.detach().requires_grad_()
    model.decode(TARGET, memory, mask)[0, 0].sum().backward()
    assert (memory.grad[0].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_the_encoder_knows_the_order_of_the_source(positions):
    torch.manual_seed(0)
    model = EncoderDecoder(EncoderDecoderConfig(9, 11, d_model=8, n_heads=2, positions=positions))
    forwards, backwards = model.encode(torch.tensor([[3, 4], [4, 3]]))[0]
    assert (forwards - backwards.flip(0)).abs().max() > 0.1


def test_alignment_rows_sum_to_one_and_leave_out_padding(model):
    weights = model.alignment(SOURCE, TARGET)
    assert weights.shape == (2, 2, 2, 5, 4)
    assert_close(weights.sum(-1), torch.ones(2, 2, 2, 5), atol=1e-5, rtol=0)
    assert (weights[1, ..., 2:] == 0).all()


def test_dropout_is_for_training_only():
    model = EncoderDecoder(EncoderDecoderConfig(9, 11, d_model=8, n_heads=2, dropout=0.5))
    assert not torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))
    model.eval()
    assert torch.equal(model(SOURCE, TARGET), model(SOURCE, TARGET))


def test_a_shared_vocabulary_has_one_table_for_source_target_and_head():
    model = EncoderDecoder(EncoderDecoderConfig(9, 9, d_model=8, n_heads=2, shared=True))
    assert model.source_embedding.weight is model.target_embedding.weight is model.head.weight


def test_it_comes_back_from_a_folder(model, tmp_path):
    model.save(tmp_path)
    again = EncoderDecoder.load(tmp_path).eval()
    assert torch.equal(again(SOURCE, TARGET), model(SOURCE, TARGET))


def test_the_same_task_makes_the_loss_fall():
    torch.manual_seed(0)
    model = EncoderDecoder(SMALL)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        logits = model(SOURCE[:1], TARGET[:1, :-1])
        losses.append(nn.functional.cross_entropy(logits[0], TARGET[0, 1:]))
        adam.zero_grad()
        losses[-1].backward()
        adam.step()
    assert losses[-1] < 0.1 < 1 < losses[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"d_model": 10, "n_heads": 4}, "must divide"),
        ({"n_layers": 0}, "n_layers is 0"),
        ({"shared": True}, "one size"),
    ],
)
def test_impossible_shapes_are_refused(config, message):
    with pytest.raises(CourseError, match=message):
        EncoderDecoder(EncoderDecoderConfig(9, 11, **config))


def test_a_sentence_longer_than_the_context_is_refused(model):
    with pytest.raises(CourseError, match="a target of 13 tokens"):
        model(SOURCE, torch.ones(2, 13, dtype=torch.long))
