"""Our BERT against Hugging Face's: outputs, loss and gradients; padding; files; the start."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig, BertForPreTraining
from course_lib.training.optimizers import split_parameters

SMALL = BertConfig(vocab_size=50, context=16, n_layers=2, n_heads=4, d_model=16, d_ff=24)


def hf_config(**settings):
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": 16}
    return transformers.BertConfig(**sizes | settings)


def shaken(model):
    """The same model with no weight left at a special value such as 0 or 1."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def batch():
    """Three pairs, two of them padded, with labels at some tokens."""
    torch.manual_seed(2)
    ids = torch.randint(5, 50, (3, 12))
    mask = torch.arange(12) < torch.tensor([[12], [7], [9]])
    ids[~mask] = 0
    segments = ((torch.arange(12) > 4) & mask).long()
    labels = torch.where(mask & (torch.rand(3, 12) < 0.4), torch.randint(5, 50, (3, 12)), -100)
    return ids, segments, mask, labels, torch.tensor([0, 1, 1])


def theirs_on(hf_model, ids, segments, mask, **more):
    return hf_model(ids, token_type_ids=segments, attention_mask=mask.long(), **more)


# --- Hugging Face -----------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"hidden_act": "gelu_new", "type_vocab_size": 3}])
@pytest.mark.parametrize("pooler", [True, False])
@torch.no_grad()
def test_our_bert_is_hugging_faces_bert(settings, pooler, batch):
    theirs = shaken(transformers.BertModel(hf_config(**settings), add_pooling_layer=pooler))
    ids, segments, mask, *_ = batch
    expected = theirs_on(theirs, ids, segments, mask, output_hidden_states=True)
    output = Bert.from_hf(theirs)(ids, segments, mask)
    for ours, states in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert_close(ours[mask], states[mask], atol=1e-5, rtol=0)
    if pooler:
        assert_close(output.pooler_output, expected.pooler_output, atol=1e-5, rtol=0)
    else:
        assert output.pooler_output is None


@torch.no_grad()
def test_where_every_head_looks_is_what_hugging_face_says(batch):
    config = hf_config(attn_implementation="eager")
    theirs = shaken(transformers.BertModel(config))
    ids, segments, mask, *_ = batch
    expected = theirs_on(theirs, ids, segments, mask, output_attentions=True).attentions
    ours = Bert.from_hf(theirs)
    weights = ours.attention_weights(ours(ids, segments, mask).hidden_states, mask)
    expected = torch.stack(expected, dim=1)
    for b, n in enumerate(mask.sum(1)):
        assert_close(weights[b, :, :, :n], expected[b, :, :, :n], atol=1e-5, rtol=0)


@pytest.mark.parametrize("only_masked", [False, True])
def test_loss_and_gradients_are_those_of_hugging_faces_pretraining(only_masked, batch):
    theirs = shaken(transformers.BertForPreTraining(hf_config()))
    ours = BertForPreTraining.from_hf(theirs)
    ids, segments, mask, labels, next_label = batch
    expected = theirs_on(
        theirs, ids, segments, mask, labels=labels, next_sentence_label=next_label
    ).loss
    expected.backward()

    scored = labels != -100
    output = ours(ids, segments, mask, scored if only_masked else None)
    logits = output.mlm_logits if only_masked else output.mlm_logits[scored]
    loss = F.cross_entropy(logits, labels[scored]) + F.cross_entropy(output.nsp_logits, next_label)
    loss.backward()
    assert_close(loss, expected, atol=1e-5, rtol=0)
    with torch.no_grad():  # their gradients in our layout: as if they were the weights
        for parameter in theirs.parameters():
            parameter.copy_(parameter.grad)
    gradients = dict(BertForPreTraining.from_hf(theirs).named_parameters())
    for name, parameter in ours.named_parameters():
        assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize("ours_class", [Bert, BertForPreTraining])
@torch.no_grad()
def test_there_and_back_every_weight_is_the_same(ours_class, batch):
    theirs_class = getattr(transformers, {Bert: "BertModel"}.get(ours_class, "BertForPreTraining"))
    theirs = shaken(theirs_class(hf_config()))
    back = ours_class.from_hf(theirs).to_hf()
    assert back.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in back.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name])
    assert back.config.hidden_act == theirs.config.hidden_act
    assert ours_class.from_hf(back).config == ours_class.from_hf(theirs).config


@torch.no_grad()
def test_the_encoder_inside_a_model_with_other_heads(batch):
    theirs = shaken(transformers.BertForSequenceClassification(hf_config()))
    ids, segments, mask, *_ = batch
    expected = theirs_on(theirs.bert, ids, segments, mask).pooler_output
    assert_close(Bert.from_hf(theirs)(ids, segments, mask).pooler_output, expected)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (lambda: transformers.BertModel(hf_config(is_decoder=True)), "settings that Bert lacks"),
        (lambda: transformers.BertModel(hf_config(hidden_act="silu")), "settings that Bert lacks"),
        (
            lambda: transformers.GPT2LMHeadModel(
                transformers.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1)
            ),
            "a gpt2 is not a BERT",
        ),
    ],
    ids=["decoder", "silu", "gpt2"],
)
def test_a_model_that_would_not_be_equal_is_refused(theirs, message):
    with pytest.raises(CourseError, match=message):
        Bert.from_hf(theirs())


def test_a_model_without_the_two_heads_is_refused():
    with pytest.raises(CourseError, match="lacks one of the two heads"):
        BertForPreTraining.from_hf(transformers.BertForMaskedLM(hf_config()))


# --- what it computes -------------------------------------------------------------------------


@torch.no_grad()
def test_padding_changes_nothing(batch):
    model = shaken(BertForPreTraining(SMALL))
    ids, segments, mask, *_ = batch
    together = model(ids, segments, mask)
    other = model(torch.where(mask, ids, 7), torch.where(mask, segments, 1), mask)
    for b, n in enumerate(mask.sum(1).tolist()):
        alone = model(ids[b : b + 1, :n], segments[b : b + 1, :n])
        assert_close(together.mlm_logits[b, :n], alone.mlm_logits[0], atol=1e-5, rtol=0)
        assert_close(together.nsp_logits[b], alone.nsp_logits[0], atol=1e-5, rtol=0)
        assert_close(together.mlm_logits[b, :n], other.mlm_logits[b, :n], atol=1e-6, rtol=0)


@torch.no_grad()
def test_every_token_sees_both_sides_its_place_and_its_segment():
    model, ids = shaken(Bert(SMALL)), torch.arange(8)[None]
    states = model(ids).last_hidden_state
    for changed in (0, 7):
        other = ids.clone()
        other[0, changed] = 9
        assert ((model(other).last_hidden_state - states).abs().amax(-1) > 1e-4).all()
    assert ((model(ids, torch.ones_like(ids)).last_hidden_state - states).abs() > 1e-4).any()
    swapped = model(ids[:, [1, 0, *range(2, 8)]]).last_hidden_state
    assert (swapped[0, 2] - states[0, 2]).abs().max() > 1e-4


def test_an_untrained_model_knows_nothing():
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(vocab_size=1000, n_layers=2, n_heads=2)).eval()
    ids = torch.randint(1000, (16, 32))
    output = model(ids)
    mlm = F.cross_entropy(output.mlm_logits.flatten(0, 1), torch.randint(1000, (512,)))
    nsp = F.cross_entropy(output.nsp_logits, torch.randint(2, (16,)))
    assert abs(mlm.item() - math.log(1000)) < 0.1
    assert abs(nsp.item() - math.log(2)) < 0.1


def test_dropout_works_in_training_only():
    model, ids = Bert(SMALL), torch.arange(8)[None]
    model.train()
    for part in ("dropout", "attention_dropout"):
        torch.manual_seed(0)
        dropped = Bert(replace(SMALL, **{"dropout": 0.0, "attention_dropout": 0.0, part: 0.5}))
        dropped.train()
        assert not torch.equal(dropped(ids)[0], dropped(ids)[0])
        dropped.eval()
        assert torch.equal(dropped(ids)[0], dropped(ids)[0])


def test_the_head_is_tied_and_muon_gets_the_matrices_inside():
    model = BertForPreTraining(SMALL)
    assert model.mlm_head.decoder.weight is model.bert.embeddings.tokens.weight
    matrices, rest = split_parameters(model)
    assert len(matrices) == 4 * SMALL.n_layers + 1  # and the pooler's
    assert sum(p.numel() for p in matrices + rest) == model.n_parameters()


def test_a_model_in_a_folder(tmp_path, batch):
    ids, segments, mask, *_ = batch
    for model in (shaken(Bert(SMALL)), shaken(BertForPreTraining(SMALL))):
        model.save(tmp_path)
        again = type(model).load(tmp_path).eval()
        assert torch.equal(again(ids, segments, mask)[0], model(ids, segments, mask)[0])
    assert again.mlm_head.decoder.weight is again.bert.embeddings.tokens.weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layers": 0}, "n_layers is 0"),
        ({"n_heads": 3}, "must divide d_model"),
        ({"dropout": 1.0}, "dropout is a share"),
        ({"activation": "swiglu"}, "choose one of"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(change, message):
    with pytest.raises(CourseError, match=message):
        Bert(replace(SMALL, **change))


def test_an_input_longer_than_the_context_is_refused():
    with pytest.raises(CourseError, match="17 tokens do not fit"):
        Bert(SMALL)(torch.zeros(1, 17, dtype=torch.long))
    with pytest.raises(CourseError, match="pooler=True"):
        BertForPreTraining(replace(SMALL, pooler=False))
