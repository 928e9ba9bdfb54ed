"""A cache changes the work, not the numbers: read in any pieces, a text gives the same logits."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.gpt import GPT, GPTConfig

CONTEXT = 16
SMALL = GPTConfig(vocab_size=40, context=CONTEXT, n_layers=2, n_heads=4, d_model=16)
KINDS = {
    "quick": SMALL,
    "gpt2": replace(
        SMALL, positions="learned", mlp="gelu_tanh", bias=True, qk_norm=False, token_shift=False
    ),
    "llama": replace(
        SMALL, norm="rms", mlp="swiglu", qk_norm=False, n_kv_heads=2, token_shift=False
    ),
    "multi-query": replace(SMALL, n_kv_heads=1),
    "sinusoidal": replace(SMALL, positions="sinusoidal", mlp="gelu"),
}


def shaken(kind):
    """A model with no weight left at a special value such as 0 or 1."""
    torch.manual_seed(1)
    model = GPT(KINDS[kind])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


MODELS = {kind: shaken(kind) for kind in KINDS}


def texts_and_cuts():
    """Tokens, and where the text is cut into the pieces that are read one after another."""
    return st.integers(2, CONTEXT).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(st.integers(0, 39), min_size=n, max_size=n), min_size=1, max_size=3),
            st.sets(st.integers(1, n - 1)),
        )
    )


@pytest.mark.parametrize("kind", KINDS)
@given(texts_and_cuts())
@settings(deadline=None, max_examples=30)
@torch.no_grad()
def test_a_text_read_in_pieces_gives_the_logits_of_the_whole(kind, case):
    texts, cuts = torch.tensor(case[0]), case[1]
    model, n = MODELS[kind], texts.size(1)
    cache, whole = model.new_cache(batch=len(texts)), model(texts)
    for start, end in pairwise([0, *sorted(cuts), n]):
        logits = model.read(texts[:, start:end], cache)
        assert_close(logits, whole[:, end - 1], atol=1e-5, rtol=0)
        assert cache.length == end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_two_times_layers_heads_width_tokens_and_bytes(kind, dtype):
    config, width = KINDS[kind], torch.finfo(dtype).bits // 8
    cache = MODELS[kind].new_cache(capacity=10, batch=3)
    cache = type(cache)(2, config.n_kv_heads or 4, 4, 10, batch=3, dtype=dtype)
    assert cache.n_bytes == 3 * 2 * 2 * (config.n_kv_heads or 4) * 4 * 10 * width


@torch.no_grad()
def test_a_cache_goes_on_from_the_rows_that_are_kept():
    model, texts = MODELS["quick"], torch.randint(40, (3, 6))
    cache = model.new_cache(batch=3)
    model.read(texts, cache)
    rows, new = torch.tensor([2, 0, 2]), torch.tensor([[1], [2], [3]])
    cache.keep(rows)
    whole = model(torch.cat([texts[rows], new], dim=1))
    assert_close(model.read(new, cache), whole[:, -1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_what_does_not_fit_is_refused_and_the_cache_stays_as_it_was():
    model = MODELS["quick"]
    small, whole = model.new_cache(capacity=4), model.new_cache()
    for cache in (small, whole):
        model.read(torch.zeros(1, 3, dtype=torch.long), cache)
    with pytest.raises(CourseError, match=r"3 \+ 2 tokens do not fit in a cache of 4"):
        model.read(torch.zeros(1, 2, dtype=torch.long), small)
    with pytest.raises(CourseError, match="17 tokens do not fit in a context of 16"):
        model.read(torch.zeros(1, 14, dtype=torch.long), whole)
    assert small.length == whole.length == 3
