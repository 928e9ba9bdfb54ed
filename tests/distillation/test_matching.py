"""Every matching loss is its paper's formula, counts no padding, and leaves the teacher alone."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib.distillation.matching import (
    CosineMatching,
    HiddenMatching,
    MiniLMMatching,
    PatientMatching,
    TinyBERTMatching,
    View,
    attention_score_loss,
    attention_scores,
    cosine_loss,
    hidden_loss,
    last_map,
    patient_loss,
    relation_heads,
    relation_loss,
    skip_map,
    uniform_map,
)
from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig

LENGTHS = [5, 3, 1]
MASK = torch.arange(5) < torch.tensor(LENGTHS)[:, None]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens(x):
    """Each real token's vector, one after the other, as NumPy."""
    return [x[b, t].numpy() for b, n in enumerate(LENGTHS) for t in range(n)]


# --------------------------------------------------------------------------- formulas, in NumPy


def test_cosine_is_one_minus_the_cosine_of_each_token():
    s, t = drawn(3, 5, 4), drawn(3, 5, 4, seed=1)
    each = [1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
            for a, b in zip(tokens(s), tokens(t), strict=True)]  # fmt: skip
    assert_close(cosine_loss(s, t, MASK).item(), np.mean(each), atol=1e-6, rtol=0)
    as_pytorch = torch.nn.functional.cosine_embedding_loss(s[MASK], t[MASK], torch.ones(9))
    assert_close(cosine_loss(s, t, MASK), as_pytorch, atol=1e-6, rtol=0, check_dtype=False)


def test_patience_compares_directions_of_cls_and_adds_the_layers():
    s, t = drawn(3, 2, 4).numpy(), drawn(3, 2, 4, seed=1).numpy()
    total = 0.0
    for i in range(3):
        for j in range(2):
            a, b = s[i, j] / np.sqrt((s[i, j] ** 2).sum()), t[i, j] / np.sqrt((t[i, j] ** 2).sum())
            total += ((a - b) ** 2).sum()
    loss = patient_loss(torch.from_numpy(s), torch.from_numpy(t))
    assert_close(loss.item(), total / 3, atol=1e-6, rtol=0)
    assert_close(patient_loss(torch.from_numpy(7 * s), torch.from_numpy(t)), loss)


def test_hidden_is_the_mean_square_after_the_projection():
    s, t, W = drawn(3, 5, 2), drawn(3, 5, 4, seed=1), drawn(2, 4, seed=2)
    each = [((a @ W.numpy() - b) ** 2).mean() for a, b in zip(tokens(s), tokens(t), strict=True)]
    project = torch.nn.Linear(2, 4, bias=False).double()
    project.weight.data = W.T.clone()
    assert_close(hidden_loss(s, t, MASK, project).item(), np.mean(each), atol=1e-6, rtol=0)
    assert hidden_loss(t, t, MASK).item() == 0


def test_attention_scores_are_compared_before_the_softmax():
    q, k = drawn(3, 2, 5, 4), drawn(3, 2, 5, 4, seed=1)
    s, t = attention_scores(q, k), attention_scores(k, q)
    squares = [
        (q[b, h, i] @ k[b, h, j] / 2 - k[b, h, i] @ q[b, h, j] / 2).item() ** 2
        for b, n in enumerate(LENGTHS)
        for h in range(2)
        for i in range(n)
        for j in range(n)
    ]
    assert_close(attention_score_loss(s, t, MASK).item(), np.mean(squares), atol=1e-6, rtol=0)
    assert attention_score_loss(s + 1, s, MASK) > 0.9  # the softmax would not see it


def test_relations_are_a_kl_of_every_row():
    s, t = drawn(3, 2, 5, 5), drawn(3, 2, 5, 5, seed=1)
    rows = []
    for b, n in enumerate(LENGTHS):
        for h in range(2):
            for i in range(n):
                q, p = (np.exp(A[b, h, i, :n].numpy()) for A in (s, t))
                q, p = q / q.sum(), p / p.sum()
                rows.append((p * np.log(p / q)).sum())
    assert_close(relation_loss(s, t, MASK).item(), np.mean(rows), atol=1e-6, rtol=0)
    assert abs(relation_loss(s + 3, s, MASK).item()) < 1e-6  # a constant changes no distribution


def test_relation_heads_join_all_heads_and_cut_anew():
    x = drawn(3, 2, 5, 6)
    cut = relation_heads(x, 4)
    whole = torch.cat([x[:, 0], x[:, 1]], dim=-1)
    assert cut.shape == (3, 4, 5, 3)
    assert torch.equal(cut[:, 1], whole[..., 3:6])
    assert torch.equal(relation_heads(x, 2), x)
    with pytest.raises(CourseError):
        relation_heads(x, 5)


# ------------------------------------------------------------------------ what all have in common

VECTORS = [lambda s, t: cosine_loss(s, t, MASK), lambda s, t: hidden_loss(s, t, MASK)]
SQUARES = [
    lambda s, t: attention_score_loss(s, t, MASK),
    lambda s, t: relation_loss(s, t, MASK),
]
LOSSES = [(f, (3, 5, 4)) for f in VECTORS] + [(f, (3, 2, 5, 5)) for f in SQUARES]


@pytest.mark.parametrize(("loss", "shape"), LOSSES)
def test_gradients_are_right_and_none_enters_the_teacher(loss, shape):
    s, t = drawn(*shape).float().requires_grad_(), drawn(*shape, seed=1).float().requires_grad_()
    loss(s, t).backward()
    assert t.grad is None
    way = drawn(*shape, seed=2).float()
    with torch.no_grad():
        slope = (loss(s + 0.01 * way, t) - loss(s - 0.01 * way, t)) / 0.02
    assert_close((s.grad * way).sum(), slope, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize(("loss", "shape"), LOSSES)
def test_padding_changes_nothing(loss, shape):
    s, t = drawn(*shape), drawn(*shape, seed=1)
    before = loss(s, t)
    for x in (s, t):
        for b, n in enumerate(LENGTHS):
            if len(shape) == 3:
                x[b, n:] = 1e3
            else:
                x[b, :, n:], x[b, :, :, n:] = 1e3, -1e3
    assert torch.equal(loss(s, t), before)


@pytest.mark.parametrize(("loss", "shape"), LOSSES)
def test_a_perfect_copy_costs_nothing(loss, shape):
    s = drawn(*shape)
    assert abs(loss(s, s.clone()).item()) < 1e-6


# ------------------------------------------------------------------------------- maps and models


def test_layer_maps_are_those_of_the_papers():
    assert skip_map(6, 12) == (2, 4, 6, 8, 10)
    assert last_map(6, 12) == (7, 8, 9, 10, 11)
    assert uniform_map(4, 12) == (3, 6, 9, 12)
    assert (skip_map(3, 6), last_map(3, 6), uniform_map(3, 6)) == ((2, 4), (4, 5), (2, 4, 6))
    assert (skip_map(2, 6), last_map(2, 6), uniform_map(2, 6)) == ((3,), (5,), (3, 6))
    with pytest.raises(CourseError):
        uniform_map(4, 6)


def small(n_layers, d_model=8, n_heads=2):
    torch.manual_seed(n_layers)
    return Bert(BertConfig(20, context=8, n_layers=n_layers, n_heads=n_heads, d_model=d_model))


def view(bert, kept=None):
    ids = torch.arange(15).view(3, 5)
    states = dict(enumerate(bert.eval()(ids, None, MASK).hidden_states))
    return View(bert, {i: states[i] for i in kept} if kept else states, MASK)


MATCHINGS = [
    CosineMatching,
    lambda s, t: PatientMatching(s, t, skip_map(s.n_layers, t.n_layers)),
    TinyBERTMatching,
    HiddenMatching,
    MiniLMMatching,
    lambda s, t: MiniLMMatching(s, t, n_relations=4),
]


@pytest.mark.parametrize("make", MATCHINGS)
def test_a_matching_needs_no_more_than_it_says_and_teaches_the_student(make):
    student, teacher = small(2), small(4)
    matching = make(student.config, teacher.config)
    loss = matching(view(student), view(teacher, matching.teacher_layers))
    loss.backward()
    assert loss > 0
    assert student.embeddings.tokens.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


def test_hidden_matching_adds_the_squared_gaps_of_the_layers_it_maps():
    student, teacher = view(small(2)), view(small(4))
    found = HiddenMatching(student.bert.config, teacher.bert.config)(student, teacher)
    pairs = [(1, 2), (2, 4)]
    gaps = [student.states[m][MASK] - teacher.states[g][MASK] for m, g in pairs]
    by_hand = sum((gap.detach().numpy() ** 2).mean() for gap in gaps)
    assert_close(found.item(), float(by_hand), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("make", [TinyBERTMatching, MiniLMMatching])
def test_a_narrow_student_can_be_matched(make):
    student, teacher = small(2, d_model=4), small(4)
    matching = make(student.config, teacher.config)
    matching(view(student), view(teacher)).backward()
    assert all(p.grad is not None for p in matching.parameters())


def test_what_cannot_be_compared_is_refused():
    narrow, few_heads, teacher = small(2, d_model=4), small(2, n_heads=1), small(4)
    for make in (CosineMatching, HiddenMatching):
        with pytest.raises(CourseError):
            make(narrow.config, teacher.config)
    with pytest.raises(CourseError):
        MiniLMMatching(few_heads.config, teacher.config)(view(few_heads), view(teacher))
    relations = MiniLMMatching(few_heads.config, teacher.config, n_relations=2)
    assert relations(view(few_heads), view(teacher)) > 0
