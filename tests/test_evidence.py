import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.evidence import claim, compare, load, predict, record


@pytest.fixture
def learner(monkeypatch):
    monkeypatch.delenv("COURSE_STRICT", raising=False)
    monkeypatch.delenv("COURSE_RESULTS", raising=False)


def test_a_true_claim_prints_its_sentence_with_its_numbers(capsys):
    claim("the gap is {gap:.2f} nats", True, gap=0.1234)
    assert capsys.readouterr().out == "✓ the gap is 0.12 nats\n"


def test_a_false_claim_fails_where_the_book_is_made(monkeypatch):
    monkeypatch.setenv("COURSE_STRICT", "1")
    with pytest.raises(AssertionError, match="false claim: 3 is even"):
        claim("{n} is even", False, n=3)


def test_a_false_claim_only_warns_a_learner_and_shows_the_pages_number(
    learner, tmp_path, monkeypatch, capsys
):
    page = {"2_smoothing": {"claims": {"loss {loss:.1f}": {"loss": "1.5"}}}}
    (tmp_path / "results.json").write_text(json.dumps(page))
    monkeypatch.chdir(tmp_path)
    claim("loss {loss:.1f}", False, because="of fewer plays", loss=2.25)
    said = capsys.readouterr().out
    assert "not reproduced here: loss 2.2" in said
    assert "you got 2.25; the page has 1.5" in said
    assert "likely because of fewer plays" in said


def test_compare_calls_a_clear_difference_a_win_and_the_reverse_a_loss():
    hard = np.random.default_rng(1).normal(2, 1, 400)  # hard blocks are hard for both
    better, worse = hard - 0.05, hard + np.random.default_rng(2).normal(0, 0.01, 400)
    assert compare(better, worse).verdict == "win"
    assert compare(worse, better).verdict == "loss"
    assert compare(better, worse, lower_is_better=False).verdict == "loss"


def test_pairing_finds_what_an_unpaired_interval_would_miss():
    hard = np.random.default_rng(1).normal(2, 1, 400)
    found = compare(hard, hard + 0.02 + np.random.default_rng(2).normal(0, 0.01, 400))
    unpaired_half_width = 1.96 * np.sqrt(2 * hard.var() / 400)
    assert found.high - found.low < unpaired_half_width / 20


def test_compare_calls_equals_a_tie():
    rng = np.random.default_rng(0)
    a, b = rng.normal(2, 1, (2, 300))
    assert compare(a, b).verdict == "tie"
    same = compare(a, a)
    assert (same.difference, same.low, same.high, same.verdict) == (0, 0, 0, "tie")


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        a = rng.normal(0.1, 1, 80)
        found = compare(a, np.zeros(80), resamples=500, seed=trial)
        covered += found.low <= 0.1 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_lucky_seeds_widen_the_interval():
    rng = np.random.default_rng(4)
    items = rng.normal(2, 0.01, 500)
    seeds = rng.normal(0, 0.1, (5, 1))
    across = compare(items + seeds, items)
    one_run = compare(items + seeds[0], items)
    assert across.high - across.low > 5 * (one_run.high - one_run.low)
    assert across.seeds == (5, 1)


@pytest.mark.parametrize(("seeds_a", "seeds_b"), [(3, 1), (5, 5), (3, 10)])
def test_the_interval_keeps_its_word_with_few_seeds(seeds_a, seeds_b):
    rng, covered, trials = np.random.default_rng(5), 0, 300
    for trial in range(trials):
        blocks = rng.normal(0, 0.05, 200)
        a, b = (
            0.1 * first
            + blocks
            + rng.normal(0, 0.02, (seeds, 1))
            + rng.normal(0, 0.01, (seeds, 200))
            for first, seeds in ((1, seeds_a), (0, seeds_b))
        )
        if seeds_b == 1:
            b = blocks[None]  # no seeds: counting gives the same every time
        found = compare(a, b, resamples=400, seed=trial)
        covered += found.low <= 0.1 <= found.high
    assert 0.92 <= covered / trials <= 0.995


@given(st.floats(-3, 3), st.integers(2, 40))
@settings(deadline=None, max_examples=25)
def test_compare_is_antisymmetric_in_its_difference(shift, n):
    a = np.linspace(0, 1, n)
    ab, ba = compare(a, a + shift, resamples=50), compare(a + shift, a, resamples=50)
    assert ab.difference == pytest.approx(-ba.difference, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([1.0, 2.0], [1.0], "has 2 of them"),
        ([1.0], [2.0], "at least two items"),
        ([1.0, float("nan")], [1.0, 2.0], "finite"),
    ],
)
def test_compare_says_what_it_cannot_compare(a, b, said):
    with pytest.raises(CourseError, match=said):
        compare(a, b)


def test_a_comparison_reads_as_a_sentence():
    text = str(compare(np.zeros(50), np.ones(50), names=("short", "long")))
    assert text == "short beats long: -1.000 [-1.000, -1.000] (95% interval over 50 items)"


def test_a_guess_is_set_beside_the_result(capsys):
    predict("what share is new?", guess=20, unit="%").reveal(9.87)
    assert "you guessed 20%; measured: 9.87% (off by 10.1)" in capsys.readouterr().out


def test_without_a_guess_only_the_result_is_shown(capsys):
    predict("how many?").reveal(5)
    assert "guessed" not in capsys.readouterr().out


def test_what_one_page_records_another_loads(tmp_path, monkeypatch):
    chapter = tmp_path / "chapters" / "01_x"
    chapter.mkdir(parents=True)
    collected = tmp_path / "collected.json"
    monkeypatch.setenv("COURSE_RESULTS", str(collected))
    record(rungs=[{"name": "unigram", "nats": np.float64(3.3)}], counts=np.arange(3))
    (chapter / "results.json").write_text(json.dumps({"1_a": json.loads(collected.read_text())}))
    monkeypatch.chdir(chapter)
    assert load("01_x/1_a", "rungs") == [{"name": "unigram", "nats": 3.3}]
    assert load("01_x/1_a", "counts") == [0, 1, 2]
    reads = json.loads(collected.read_text())["reads"]
    assert set(reads) == {"01_x/1_a/rungs", "01_x/1_a/counts"}
    with pytest.raises(CourseError, match="has recorded rungs, counts; for 'losses', run"):
        load("01_x/1_a", "losses")
    with pytest.raises(CourseError, match=r"has recorded nothing; .* `course refresh 02_y`"):
        load("02_y/1_a", "losses")


def test_a_learners_run_writes_nothing(learner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(loss=1.0)
    claim("so", True)
    assert list(tmp_path.iterdir()) == []


def test_record_refuses_what_json_cannot_hold(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "r.json"))
    with pytest.raises(CourseError, match="cannot keep a set"):
        record(names={"a"})
