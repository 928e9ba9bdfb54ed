"""Answers become tokens and come back as text; spans, losses and scores are what they should be."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data.tasks import factbook_questions
from course_lib.errors import CourseError
from course_lib.exercises.ch09_fine_tuning import best_span as by_trying_all
from course_lib.exercises.ch09_fine_tuning import span_scores
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForQuestionAnswering
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.tokenization.encoder_inputs import SpecialTokens, encoder_inputs
from course_lib.tokenization.wordpiece import WordPieceTokenizer
from course_lib.training.fine_tuning import Recipe
from course_lib.training.objectives import mean_loss
from course_lib.training.span_extraction import (
    CUT_OFF,
    Questions,
    ShuffledQuestions,
    answer,
    best_span,
    context_start,
    exact_match,
    learn_spans,
    normalized,
    span_logits,
    span_loss,
    token_f1,
)

SPECIAL = SpecialTokens(pad=0, cls=1, sep=2, mask=3)


def made_up_rows(n):
    """Contexts of two statements, and a question for the value of one."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(n):
        colours = random.permutation(["red", "green", "blue"])[:2]
        values = [
            f"x{random.integers(10)} y{random.integers(10)}"[: random.choice([2, 5])]
            for _ in colours
        ]
        context = " ".join(f"{c} {v}." for c, v in zip(colours, values, strict=True))
        asked = int(random.integers(2))
        rows.append(
            {
                "question": f"{colours[asked]}?",
                "context": context,
                "answer": values[asked],
                "start": context.index(f"{colours[asked]} ") + len(colours[asked]) + 1,
            }
        )
    return rows


ROWS = made_up_rows(120)


@pytest.fixture(scope="module")
def small():
    tokenizer = WordPieceTokenizer.train([r["context"] + r["question"] for r in ROWS], 120)
    torch.manual_seed(0)
    config = BertConfig(tokenizer.vocab_size, context=32, n_layers=2, n_heads=2, d_model=32)
    return PretrainedBert(Bert(config).eval(), tokenizer)


@pytest.fixture(scope="module")
def questions(small):
    return Questions.of(ROWS, small)


# --- Questions -------------------------------------------------------------------------------


def test_every_answer_of_the_factbook_is_found_again(small):
    rows = [split[i] for split in factbook_questions().values() for i in range(0, len(split), 40)]
    for row, question in zip(rows, Questions.of(rows, small, max_tokens=10_000).rows, strict=True):
        assert question.text(question.first, question.last) == row["answer"]


def test_the_places_of_a_batch_hold_the_answers(small, questions):
    inputs, places = questions.batch(range(20))
    for ids, (first, last), row in zip(inputs.ids, places, ROWS, strict=False):
        expected = small.tokenizer.encode(row["answer"])
        assert ids[first : last + 1].tolist() == expected.tolist()
        assert inputs.segments[0, first] == 1


def test_what_is_cut_off_is_counted_and_not_scored(small, questions):
    cut = Questions.of(ROWS[:30], small, max_tokens=8)
    assert max(cut.lengths) == 5
    gone = [i for i, row in enumerate(cut.rows) if row.first == CUT_OFF]
    assert 0 < cut.n_cut_off == len(gone) < 30
    assert questions.n_cut_off == 0
    model = BertForQuestionAnswering.on(small.model).eval()
    rest = [i for i in range(30) if i not in gone]
    some, n = span_loss(model, cut.batch([*rest[:3], gone[0]]))
    only, n_only = span_loss(model, cut.batch(rest[:3]))
    assert n == n_only == 3
    assert some.item() == pytest.approx(only.item(), abs=1e-4)
    assert len(answer(model, cut)) == 30  # something is answered, and it is wrong


@pytest.mark.parametrize(
    ("change", "max_tokens"),
    [({"start": 1}, 32), ({"answer": "nowhere"}, 32), ({"question": "a b c d e f"}, 8)],
)
def test_rows_that_cannot_be_used_are_refused(small, change, max_tokens):
    with pytest.raises(CourseError):
        Questions.of([ROWS[0] | change], small, max_tokens)


def test_an_answer_that_ends_within_a_token_is_refused(small):
    row = {"question": "red?", "context": "red green.", "answer": "re", "start": 0}
    with pytest.raises(CourseError, match="whole tokens"):
        Questions.of([row], small)


def test_an_epoch_reads_every_question_once(questions):
    batches = ShuffledQuestions(questions, 16, seed=1)
    epochs = [
        sorted(map(tuple, rows_of(batches, range(8)))),
        sorted(rows_of(batches, range(8, 16))),
    ]
    assert epochs[0] == epochs[1]
    assert len(epochs[0]) == len(questions)
    assert torch.equal(batches(3)[1], ShuffledQuestions(questions, 16, seed=1)(3)[1])


def rows_of(batches, steps):
    """The texts of some steps' batches, without padding."""
    return [
        tuple(ids[mask].tolist())
        for step in steps
        for ids, mask in zip(*batches(step)[0][::2], strict=True)
    ]


# --- Loss and answer ---------------------------------------------------------------------------


def test_the_loss_is_nats_of_start_plus_nats_of_end():
    logits = torch.tensor([[[0.0, 2.0, 1.0], [0.0, 0.0, 3.0]]])  # start, end
    model = torch.nn.Identity()
    model.forward = lambda *inputs: logits
    found, n = span_loss(model, (encoder_inputs([[7]], SPECIAL), torch.tensor([[1, 2]])))
    z = math.exp(0) + math.exp(2) + math.exp(1), 1 + 1 + math.exp(3)
    assert found.item() == pytest.approx(math.log(z[0]) - 2 + math.log(z[1]) - 3, abs=1e-5)
    assert n == 1


def test_an_untrained_head_starts_near_the_uniform_loss(small, questions):
    torch.manual_seed(0)
    model = BertForQuestionAnswering.on(small.model).eval()
    loss, n = span_loss(model, questions.batch(range(60)))
    uniform = np.mean([2 * math.log(len(row.context_tokens)) for row in questions.rows[:60]])
    assert loss.item() / n == pytest.approx(uniform, rel=0.1)


@given(scores=span_scores())
@settings(deadline=None)
def test_the_best_span_is_that_of_trying_all(scores):
    assert best_span(*scores) == by_trying_all(*scores)


def test_a_span_of_no_tokens_is_refused():
    with pytest.raises(CourseError):
        best_span(np.zeros(3), np.zeros(3), longest=0)


def test_logits_come_in_the_order_of_the_questions(small, questions):
    model = BertForQuestionAnswering.on(small.model).eval()
    found = span_logits(model, questions.take(range(9)), batch_size=4)
    for i in range(9):
        row, (inputs, _) = questions.rows[i], questions.batch([i])
        alone = model(*inputs)[0].detach().numpy()
        begin = context_start(row)
        np.testing.assert_allclose(found[i], alone[:, begin:-1], atol=1e-5)
        assert np.isfinite(found[i]).all()


# --- Training ----------------------------------------------------------------------------------


def test_it_learns_to_answer(small, questions):
    one_word = questions.take([i for i, row in enumerate(ROWS) if row["question"] == "green?"])
    recipe = Recipe(lr=3e-3, head_lr=3e-3, batch_size=16)
    model, history = learn_spans(small.model, one_word, recipe, steps=60)
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    found = answer(model, one_word, one_word.longest_answer)
    right = [exact_match(a, row.answer) for a, row in zip(found, one_word.rows, strict=True)]
    assert np.mean(right) > 0.5


@pytest.mark.parametrize(
    "recipe", [Recipe(), Recipe(frozen_layers=1), Recipe(lora_rank=2), Recipe(pretrained=False)]
)
def test_what_is_frozen_stays_and_a_run_can_be_repeated(small, questions, recipe):
    before = {name: p.clone() for name, p in small.model.state_dict().items()}
    model, history = learn_spans(small.model, questions, recipe, steps=3, seed=2)
    _, again = learn_spans(small.model, questions, recipe, steps=3, seed=2)
    assert history.train_loss == again.train_loss
    after = model.bert.state_dict()
    assert after.keys() == before.keys()
    assert all(p.requires_grad for p in model.parameters())
    stayed = {name for name in before if torch.equal(before[name], after[name])}
    if recipe.frozen_layers or recipe.lora_rank:
        assert {name for name in before if name.startswith("embeddings")} <= stayed
    if recipe.frozen_layers:
        assert {name for name in before if name.startswith("blocks.0")} <= stayed
    assert not {name for name in before if name.endswith("up.weight")} <= stayed
    assert all(torch.equal(before[name], p) for name, p in small.model.state_dict().items())


def test_a_recipe_in_stages_is_refused(small, questions):
    with pytest.raises(CourseError, match="without thawing"):
        learn_spans(small.model, questions, Recipe(thaw=True), steps=1)


def test_the_layers_may_have_rates_of_their_own(small, questions):
    recipe = Recipe(lr=1e-3, layer_decay=1e-9)  # so small that only the last layer moves
    model, _ = learn_spans(small.model, questions, recipe, steps=2)
    moved = {
        name: (p - small.model.get_parameter(name)).abs().max().item()
        for name, p in model.bert.named_parameters()
    }
    last = f"blocks.{len(small.model.blocks) - 1}"
    assert max(gap for name, gap in moved.items() if name.startswith("embeddings")) < 1e-6
    assert max(gap for name, gap in moved.items() if name.startswith(last)) > 1e-4


def test_the_mean_loss_counts_answers(small, questions):
    model = BertForQuestionAnswering.on(small.model).eval()
    parts = [questions.batch(places) for places in questions.places_by_length(50)]
    whole, n = span_loss(model, questions.batch(range(len(questions))))
    assert mean_loss(model, parts, span_loss) == pytest.approx(whole.item() / n, abs=1e-4)


# --- Scores ------------------------------------------------------------------------------------


def test_texts_are_normalized_as_squad_does():
    assert normalized("The  U.S. Congress!") == "us congress"
    assert normalized("An apple a day, theatre") == "apple day theatre"
    assert normalized("1.47%") == "147"  # so 1.47 and 147 are the same answer


def test_exact_match_by_hand():
    assert exact_match("the Seine.", "Seine") == 1
    assert exact_match("Seine river", "river Seine") == 0


def test_f1_by_hand():
    assert token_f1("the river Seine in France", "Seine river") == pytest.approx(2 / 3)
    assert token_f1("Rome Rome", "Rome") == pytest.approx(2 / 3)  # once in both
    assert token_f1("Rome", "Paris") == 0
    assert token_f1("", "Paris") == 0
    assert token_f1("the", "") == 1


@given(a=st.text("the acb,", max_size=12), b=st.text("the acb,", max_size=12))
def test_f1_is_one_for_an_exact_match_and_symmetric(a, b):
    assert token_f1(a, b) == token_f1(b, a)
    assert token_f1(a, b) >= exact_match(a, b)
