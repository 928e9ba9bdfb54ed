"""Batches are a pure function of (seed, step, share)."""

import numpy as np
import pytest
import torch
from tiny_model import CONTEXT, TEXT, windows

from course_lib.errors import CourseError
from course_lib.training.batches import RandomWindows, blocks


def test_the_same_seed_step_and_share_give_the_same_batch_in_any_order():
    batches = windows()
    forward = [batches(step, share) for step in range(3) for share in range(2)]
    backward = [windows()(step, share) for step in (2, 1, 0) for share in (1, 0)]
    assert all(map(torch.equal, forward, reversed(backward)))


def test_another_seed_step_or_share_gives_another_batch():
    other_seed = RandomWindows(TEXT, CONTEXT, 8, seed=4)
    first = windows()(5, 1)
    for batch in (windows()(6, 1), windows()(5, 0), other_seed(5, 1)):
        assert not torch.equal(batch, first)


def test_the_shares_of_a_step_are_the_parts_of_one_larger_batch():
    shares = torch.cat([windows(4)(7, share) for share in range(4)])
    assert torch.equal(shares, windows(16)(7))


def test_windows_are_stretches_of_the_text_and_reach_both_its_ends():
    text = np.arange(CONTEXT + 3)
    seen = torch.cat([RandomWindows(text, CONTEXT, 8)(step) for step in range(20)])
    assert torch.equal(seen - seen[:, :1], torch.arange(CONTEXT + 1).expand_as(seen))
    assert set(seen[:, 0].tolist()) == {0, 1, 2}


def test_a_text_of_one_window_is_enough_and_a_shorter_one_is_refused():
    assert RandomWindows(np.arange(9), 8, 1)(0).tolist() == [list(range(9))]
    with pytest.raises(CourseError, match="8 tokens, but a window takes 9"):
        RandomWindows(np.arange(8), 8, 1)


def test_blocks_hold_each_target_once_and_leave_out_what_fills_no_block():
    found = torch.cat(blocks(np.arange(23), context=5, batch_size=3))
    assert found[:, 1:].flatten().tolist() == list(range(1, 21))
    assert torch.cat(blocks(np.arange(4), context=5)).tolist() == [[0, 1, 2, 3]]
    with pytest.raises(CourseError, match="no token to predict"):
        blocks(np.arange(1), context=5)
