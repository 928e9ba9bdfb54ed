"""course_lib.training.rungs: what a record keeps of a run on the ladder."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from course_lib.data import corpora
from course_lib.evaluation import mix
from course_lib.training import rungs


@pytest.fixture
def few_plays(monkeypatch):
    """The corpus, cut short; and no counts of it yet, nor left behind."""
    plays = corpora.load("shakespeare")
    short = replace(plays, train=plays.train[:20_000], validation=plays.validation[:6_000])
    monkeypatch.setattr(corpora, "load", lambda name: short)
    rungs._counting_nats.cache_clear()
    yield short
    rungs._counting_nats.cache_clear()


@pytest.mark.parametrize("name", ["lstm", "gpt"])
def test_a_rung_is_scored_alone_and_mixed(few_plays, name):
    network, kept = rungs.make_rung(name, steps=3, every=2)
    assert json.loads(json.dumps(kept)) == kept
    assert kept["steps"] == [2, 3]
    assert len(kept["val_losses"]) == len(kept["seconds"]) == 2
    assert kept["val_loss"] == pytest.approx(min(kept["val_losses"]), abs=1e-4)
    assert kept["parameters"] == network.n_parameters()
    assert np.mean(kept["block_losses"]) == pytest.approx(kept["val_loss"], abs=0.02)
    assert kept["first_losses"][0] == pytest.approx(math.log(few_plays.tokenizer.vocab_size), 0.1)
    halves = kept["mixed"]["network_block_losses"], kept["mixed"]["counting_block_losses"]
    assert np.mean(kept["mixed"]["block_losses"]) <= min(map(np.mean, halves)) + 0.02


def test_the_weight_of_a_mixture_is_fitted_on_the_first_half_only(few_plays):
    counting = rungs._counting_nats("shakespeare")
    half = len(counting) // 2
    better_first = counting - np.where(np.arange(len(counting)) < half, 0.5, -0.5)
    mixed = rungs.mixed_with_counting(better_first)
    assert mixed["weight"] > 0.99  # on the first half it is better everywhere
    mixture = mix(better_first[half:], counting[half:], mixed["weight"])
    assert np.mean(mixed["block_losses"]) == pytest.approx(mixture.mean(), abs=0.02)
    assert np.mean(mixed["block_losses"]) > np.mean(mixed["counting_block_losses"])
