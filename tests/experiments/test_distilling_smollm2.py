"""Chapter 12's experiment on SmolLM2, with a small model in the teacher's place."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_lib.distillation.trimmed import TrimmedVocabulary
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.publishing import records
from course_lib.publishing.repository import find_root

EXPERIMENT = records.find(find_root(), "distilling-smollm2")
V = 40  # tokens of the teacher


@pytest.fixture
def module(monkeypatch):
    """The experiment's names, with a teacher and texts that are small."""
    names = EXPERIMENT.run.__globals__
    random = np.random.default_rng(0)
    p = 1 / np.arange(1, V + 1)
    text = {
        split: random.choice(V, size=n, p=p / p.sum())
        for split, n in (("train", 203), ("validation", 65), ("test", 99))
    }
    torch.manual_seed(0)
    shape = {"n_layers": 1, "n_heads": 2, "d_model": 8, "init_std": 0.5, "zero_init": False}
    model = GPT(GPTConfig(V, 32, **shape)).eval()
    small = {
        "AMOUNTS": (80, 160),
        "WINDOW": 16,
        "PART": 32,
        "K": 4,
        "STEPS": (2, 4),
        "LOOKS": 2,
        "PROMPT": 4,
        "WRITTEN": 8,
        "domain": lambda: text,
        "tokenizer": lambda: SimpleNamespace(
            decode=lambda tokens: "".join(f"<{t}>" for t in tokens)
        ),
        "teacher": lambda: model,
    }
    for name, value in small.items():
        monkeypatch.setitem(names, name, value)
    return names


@pytest.mark.parametrize("method", ["alone", "soft", "mixed"])
def test_a_slice_of_each_method_has_what_pages_read(method, module, tmp_path):
    setting = {"method": method, "tokens": 80, "steps": 4}
    results = json.loads(json.dumps(EXPERIMENT.run(setting, 0, tmp_path / "run"), allow_nan=False))
    assert results["steps"] == [2, 4]
    assert len(results["block_losses"]) == 6
    assert np.mean(results["block_losses"]) == pytest.approx(results["loss"], abs=1e-4)
    assert sum(n for _, n in results["by_rarity"].values()) == 96
    assert 1 < results["loss"] < 4
    assert results["wrote"].count("<") + results["wrote"].count("▢") == 8
    assert ("teacher" in results) == ("asking" in results) == (method != "alone")
    if method != "alone":
        assert results["asking"]["tokens"] == 80
        assert results["asking"]["stored_bytes"] == 80 * 4 * 4
        assert results["asking"]["cpu_seconds"] >= 0
        theirs = results["teacher"]
        assert len(theirs["block_losses"]) == 6
        counts = [{k: n for k, (_, n) in r["by_rarity"].items()} for r in (results, theirs)]
        assert counts[0] == counts[1]  # both are scored on the same tokens
        assert results["others"] == theirs["others"]


def test_counting_is_scored_where_the_students_are(module, tmp_path):
    counted, alone = (
        EXPERIMENT.run({"method": m, "tokens": 160, "steps": 4}, 0, tmp_path / m)
        for m in ("counts", "alone")
    )
    assert counted["order"] in module["ORDERS"]
    assert counted["loss"] < np.log(counted["vocabulary"])
    assert len(counted["block_losses"]) == len(alone["block_losses"])
    same = [{k: n for k, (_, n) in r["by_rarity"].items()} for r in (counted, alone)]
    assert same[0] == same[1]


def test_the_methods_begin_differently(module):
    methods = ("alone", "soft", "mixed", "counts")
    first = [EXPERIMENT.probe({"method": m, "tokens": 80}) for m in methods]
    assert len({tuple(losses) for losses in first}) == 4
    assert [len(losses) for losses in first] == [3, 3, 3, 1]


def test_a_token_that_the_student_has_not_is_written_as_a_box(module, monkeypatch):
    vocabulary = module["student_vocabulary"]()
    drawn = torch.tensor([[0, vocabulary.other, vocabulary.other, 1]])
    monkeypatch.setitem(module, "continue_texts", lambda *a, **k: drawn)
    student = module["new_student"](vocabulary.size, 0)
    first, second = vocabulary.kept[:2]
    assert module["write"](student, vocabulary, 0) == f"<{first}>▢▢<{second}>"


def test_parts_are_those_of_the_whole_and_asked_once(module, tmp_path, monkeypatch):
    tokens, vocabulary = module["domain"]()["train"][:81], module["student_vocabulary"]()
    rows, cost = module["asked"](tokens, vocabulary, tmp_path / "asked")
    whole = module["ask"](module["teacher"](), tokens, vocabulary, k=4, window=16)
    assert torch.allclose(rows.log_probs, whole.log_probs, atol=1e-5)
    assert torch.equal(rows.likeliest, whole.likeliest)
    assert np.allclose(rows.nats, whole.nats, atol=1e-5)
    assert (rows.tokens == whole.tokens).all()
    assert len(list((tmp_path / "asked").iterdir())) == 3
    monkeypatch.setitem(module, "ask", None)  # whoever asks again fails
    again, its_cost = module["asked"](tokens, vocabulary, tmp_path / "asked")
    assert torch.equal(again.log_probs, rows.log_probs)
    assert its_cost == cost
    first, _ = module["asked"](tokens[:65], vocabulary, tmp_path / "asked")  # a smaller amount
    assert torch.equal(first.log_probs, rows.log_probs[:64])


def test_another_vocabulary_is_asked_about_anew(module, tmp_path):
    tokens = module["domain"]()["train"][:33]
    for kept in (np.arange(5), np.arange(6)):
        module["asked"](tokens, TrimmedVocabulary(kept), tmp_path / "asked")
    assert len(list((tmp_path / "asked").iterdir())) == 2


def test_losses_are_those_of_what_the_text_has(module):
    text, vocabulary = module["domain"](), module["student_vocabulary"]()
    targets = vocabulary.trim(text["test"])[1:97]  # whole windows
    known = vocabulary.trim(text["train"][:11])
    other = targets == vocabulary.other
    nats = np.where(other, 7.0, np.where(np.isin(targets, known), 1.0, 5.0))
    scored = module["scores"](np.append(nats, 9.0), vocabulary, {"method": "alone", "tokens": 10})
    assert scored["by_rarity"].pop("0") == (5.0, (nats == 5).sum())
    assert scored["by_rarity"].pop("others") == (7.0, other.sum())
    assert {loss for loss, _ in scored["by_rarity"].values()} == {1.0}
    assert scored["loss"] == pytest.approx(nats.mean())
    assert scored["others"] == other.mean() > 0


def test_amounts_are_whole_parts_and_windows():
    names = EXPERIMENT.run.__globals__
    assert all(amount % names["PART"] == 0 for amount in names["AMOUNTS"])
    assert names["PART"] % names["WINDOW"] == 0  # so that parts are asked as the whole would be
    assert set(names["ALPHA"]) == {"alone", "soft", "mixed"}
    assert len(EXPERIMENT.grid) * EXPERIMENT.seeds == (2 + 3 * 2 * 3) * 3  # counts; the students
    assert all(steps % names["LOOKS"] == 0 for steps in names["STEPS"])
