"""Networks that learn side by side learn as each would alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from course_lib.data.digits import SIZES, digits
from course_lib.distillation.losses import hard_loss, soft_loss
from course_lib.distillation.side_by_side import SideBySide, learn, logits, right_or_wrong
from course_lib.errors import CourseError


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


def by_label(z, done):
    return hard_loss(z, Y.expand(len(z), -1))


def test_beside_others_a_network_learns_as_it_does_alone():
    together = learn(SideBySide(3, [4, 5, 3], seed=7), X, by_label, steps=20)
    for i in range(3):
        alone = learn(SideBySide(1, [4, 5, 3], seed=7 + i), X, by_label, steps=20)
        assert_close(logits(alone, X)[0], logits(together, X)[i], atol=1e-5, rtol=1e-5)


def test_it_is_the_network_that_pytorch_would_make():
    ours = SideBySide(2, [4, 5, 3])
    for i in range(2):
        theirs = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
        for layer, W, b in zip(theirs[::2], ours.weights, ours.biases, strict=True):
            layer.weight.data, layer.bias.data = W[i].T.clone(), b[i, 0].clone()
        assert_close(logits(ours, X)[i], theirs(X).detach())
    assert ours.n_parameters == 4 * 5 + 5 + 5 * 3 + 3


def test_each_network_may_have_rows_of_its_own():
    networks, own = SideBySide(2, [4, 3]), torch.stack([X, -X])
    assert_close(logits(networks, own)[1], logits(networks, -X)[1])


def test_a_student_comes_near_its_teacher():
    teacher = logits(SideBySide(1, [4, 3], seed=5), X)
    students = SideBySide(2, [4, 8, 3])
    before = soft_loss(logits(students, X), teacher.expand(2, -1, -1), 2)
    learn(students, X, lambda z, done: soft_loss(z, teacher.expand_as(z), 2), steps=60)
    assert soft_loss(logits(students, X), teacher.expand(2, -1, -1), 2) < 0.05 * before


def test_the_loss_is_told_how_much_is_done():
    seen = []

    def noted(z, done):
        seen.append(done)
        return F.mse_loss(z, torch.zeros_like(z))

    learn(SideBySide(1, [4, 3]), X, noted, steps=4)
    assert seen == [0.125, 0.375, 0.625, 0.875]


def test_a_loss_that_is_not_finite_is_said():
    with pytest.raises(CourseError, match="cannot go on"):
        learn(SideBySide(1, [4, 3]), X, lambda z, done: z.sum() * float("nan"), steps=2)


def test_right_or_wrong():
    networks = learn(SideBySide(2, [4, 16, 3]), X, by_label, steps=100)
    assert right_or_wrong(networks, X, Y).shape == (2, 12)
    assert right_or_wrong(networks, X, Y).mean() > 0.9


def test_digits_are_split_without_a_picture_in_two_parts():
    parts = digits()
    assert {name: len(part) for name, part in parts.items()} == SIZES
    everything = torch.cat([part.x for part in parts.values()])
    assert everything.min() == 0
    assert everything.max() == 1
    assert len(everything.unique(dim=0)) == 1797
    assert parts["test"].take(torch.tensor([3, 1])).y.tolist() == parts["test"].y[[3, 1]].tolist()
