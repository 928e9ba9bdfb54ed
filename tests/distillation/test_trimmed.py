"""A trimmed vocabulary: sums of the teacher's probabilities, stored and read again."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib.distillation.losses import forward_kl
from course_lib.distillation.sequence import next_token_loss
from course_lib.distillation.trimmed import StoredRows, TrimmedVocabulary, ask, from_stored
from course_lib.models.gpt import GPT, GPTConfig

V = 9
TEXT = np.random.default_rng(0).choice(V, size=50, p=np.array([20, 15, 1, 10, 1, 9, 8, 1, 1]) / 66)
FEW = TrimmedVocabulary(np.array([0, 1, 3, 5, 6]))


def small(seed: int, vocab: int) -> GPT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"n_layers": 1, "n_heads": 2, "d_model": 8, "init_std": 0.5, "zero_init": False}
        return GPT(GPTConfig(vocab, 16, **shape)).eval()


def test_what_is_frequent_is_kept_and_the_rest_is_one_token():
    vocabulary = TrimmedVocabulary.of(np.array([7, 7, 2, 5, 5, 5]))
    assert vocabulary.kept.tolist() == [5, 7]
    assert vocabulary.trim(np.array([5, 2, 7, 8, 0])).tolist() == [0, 2, 1, 2, 2]
    assert vocabulary.size == 3


def test_the_probabilities_of_others_are_added_up():
    p = torch.rand(3, V, generator=torch.Generator().manual_seed(0)).softmax(-1)
    coarse = FEW.coarsen(p.log()).exp()
    assert_close(coarse[:, :5], p[:, [0, 1, 3, 5, 6]])
    assert_close(coarse[:, 5], p[:, [2, 4, 7, 8]].sum(1))


@pytest.mark.parametrize("together", [1, 3])
def test_asked_are_the_rows_of_each_window(together):
    teacher = small(1, V)
    asked = ask(teacher, TEXT, FEW, k=3, window=16, together=together)
    assert asked.log_probs.shape == asked.likeliest.shape == (49, 3)
    assert asked.stored_bytes == 49 * 3 * 4
    for place in (0, 5, 16, 48):
        start = place // 16 * 16
        with torch.no_grad():
            row = teacher(torch.from_numpy(TEXT[None, start : place + 1]))[0, -1].log_softmax(-1)
        coarse = FEW.coarsen(row)
        assert_close(asked.log_probs[place], coarse.topk(3).values, atol=1e-5, rtol=0)
        truth = FEW.trim(TEXT[place + 1 : place + 2])[0]
        assert asked.nats[place] == pytest.approx(-coarse[truth].item(), abs=1e-5)


def test_batches_hold_the_rows_of_their_windows():
    asked = ask(small(1, V), TEXT, FEW, k=6, window=16)
    windows, log_probs, likeliest = StoredRows(asked, context=7, batch_size=4, seed=2)(3)
    text = FEW.trim(TEXT)
    for window, values, tokens in zip(windows, log_probs, likeliest, strict=True):
        [start] = [
            s
            for s in range(50 - 7)
            if text[s : s + 8].tolist() == window.tolist()
            and torch.equal(asked.log_probs[s : s + 7], values)
        ]
        assert torch.equal(asked.likeliest[start : start + 7], tokens.int())


def test_with_all_rows_stored_it_is_the_forward_kl_and_the_text():
    teacher, student = small(1, V), small(2, FEW.size)
    asked = ask(teacher, TEXT[:17], FEW, k=FEW.size, window=16)
    batch = StoredRows(asked, context=16, batch_size=1)(0)
    z = student(batch[0][:, :-1])
    with torch.no_grad():
        rows = FEW.coarsen(teacher(torch.from_numpy(TEXT[None, :16])).log_softmax(-1))
    soft, count = from_stored(1)(student, batch)
    assert count == 16
    assert_close(soft, forward_kl(z, rows).sum(), atol=1e-4, rtol=0)
    half, _ = from_stored(0.5)(student, batch)
    hard, _ = next_token_loss(student, batch[0])
    assert_close(half, (soft + hard) / 2, atol=1e-4, rtol=0)
    half.backward()
    assert student.head.weight.grad is not None
