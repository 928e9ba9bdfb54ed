"""Recorded experiments: nothing is run twice or lost, and changed code makes a record stale."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_lib.errors import CourseError
from course_lib.experiments import load_record, read_rows, record_file
from course_lib.publishing import records
from course_lib.publishing.records import find, perform, restamp, stale_records, with_seeds

ROOT = Path(__file__).resolve().parents[2]
NAME = "coin-tosses"

# Counts heads; notes each run it makes in ran.txt; files stop-SETTING-SEED and
# wait-SETTING-SEED end it or hold it up in mid-run.
SOURCE = """
import os, random, signal, time
from pathlib import Path

import numpy as np

from course_lib.experiments import Experiment
from course_lib.models.ngram import Uniform

HERE = Path(__file__).parent


def run(setting, seed, folder):
    kept = folder / "tossed.txt"
    begun = kept.read_text() if kept.exists() else ""
    with (HERE / "ran.txt").open("a") as file:
        file.write(f"{setting['n']}/{seed} from {len(begun)}\\n")
    while (HERE / f"wait-{setting['n']}-{seed}").exists():
        time.sleep(0.05)
    random.seed(seed)
    tosses = "".join(random.choice("HT") for _ in range(setting["n"]))
    kept.write_text(tosses[: len(begun) + 2])
    if (HERE / f"stop-{setting['n']}-{seed}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return {"heads": tosses.count("H"), "p": Uniform(2).token_log_probs(np.array([0]))[0]}


def probe(setting):
    return [float(setting["n"]), 0.25]


EXPERIMENT = Experiment("coin-tosses", "Is it fair?", ({"n": 10}, {"n": 20}), seeds=2, run=run,
    probe=probe, texts=())
"""


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with one experiment, never run."""
    shutil.copytree(ROOT / "course_lib", tmp_path / "course_lib")
    (tmp_path / "chapters").mkdir()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "coin_tosses.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def do(clone, **options):
    seeds = options.pop("seeds", None)
    return perform(clone, with_seeds(find(clone, NAME), seeds), say=lambda line: None, **options)


def ran(clone):
    return (clone / "experiments" / "ran.txt").read_text().splitlines()


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_record_has_a_row_for_each_setting_and_seed(clone):
    do(clone)
    rows = load_record(NAME)
    assert [(row["setting"]["n"], row["seed"]) for row in rows] == [
        (10, 0),
        (20, 0),
        (10, 1),
        (20, 1),
    ]
    assert all(0 <= row["results"]["heads"] <= row["setting"]["n"] for row in rows)
    assert {"machine", "versions", "texts", "code", "cpu_seconds"} <= set(
        read_rows(record_file(clone, NAME))[0]
    )
    assert not (clone / "experiments" / "unfinished" / NAME).exists()


def test_a_killed_grid_goes_on_from_the_run_it_was_in(clone):
    stop = clone / "experiments" / "stop-20-0"
    stop.touch()
    code = (
        "from pathlib import Path; from course_lib.publishing.records import find, perform; "
        f"perform(Path({str(clone)!r}), find(Path({str(clone)!r}), {NAME!r}))"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not record_file(clone, NAME).exists()
    stop.unlink()
    with pytest.raises(CourseError, match="--resume, or delete"):
        do(clone)
    do(clone, resume=True)
    assert ran(clone) == ["10/0 from 0", "20/0 from 0", "20/0 from 2", "10/1 from 0", "20/1 from 0"]
    resumed = load_record(NAME)
    do(clone)
    assert [r["results"] for r in load_record(NAME)] == [r["results"] for r in resumed]


def test_without_resume_every_run_is_made_anew(clone):
    do(clone)
    do(clone)
    assert len(ran(clone)) == 8


def test_two_processes_share_a_grid_and_the_last_of_them_records(clone):
    waiting, done = clone / "experiments" / "wait-10-0", clone / "experiments" / "ran.txt"
    waiting.touch()
    code = (
        "from pathlib import Path; from course_lib.publishing.records import find, perform; "
        f"perform(Path({str(clone)!r}), find(Path({str(clone)!r}), {NAME!r}), resume=True)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as other:
        while not done.exists():  # the other is at its first run, and waits in it
            assert other.poll() is None
            time.sleep(0.05)
        said = []
        rows = perform(clone, find(clone, NAME), resume=True, say=said.append)
        assert len(rows) == 3
        assert said[0].endswith("another process is at it")
        assert "last of them records" in said[-1]
        assert not record_file(clone, NAME).exists()
        waiting.unlink()
        assert other.wait(60) == 0
    assert ran(clone) == ["10/0 from 0", "20/0 from 0", "10/1 from 0", "20/1 from 0"]
    assert len(load_record(NAME)) == 4
    assert not (clone / "experiments" / "unfinished" / NAME).exists()


def test_a_grid_that_goes_on_never_keeps_fewer_runs_than_it_found(clone):
    do(clone)
    record = record_file(clone, NAME)
    kept_in = clone / "experiments" / "unfinished" / NAME / "runs.jsonl"
    kept_in.parent.mkdir(parents=True)
    kept_in.write_text("".join(record.read_text().splitlines(keepends=True)[1:]))  # all but one
    record.unlink()
    found = find(clone, NAME)
    seen = []
    perform(clone, found, resume=True, say=lambda line: seen.append(len(read_rows(kept_in))))
    assert min(seen) == 3
    assert len(ran(clone)) == 5
    assert len(load_record(NAME)) == 4


def test_more_seeds_keep_the_runs_that_are_there_and_fewer_leave_the_record(clone):
    do(clone)
    assert len(do(clone, seeds=3, resume=True)) == 6
    assert len(ran(clone)) == 6
    do(clone, seeds=1)
    assert len(load_record(NAME)) == 6


def test_an_experiment_that_asks_for_more_seeds_keeps_its_runs(clone):
    do(clone)
    change(clone / "experiments" / "coin_tosses.py", "seeds=2", "seeds=3")
    assert not stale_records(clone)
    assert len(do(clone, resume=True)) == 6
    assert len(ran(clone)) == 6


def test_runs_made_by_other_code_are_not_kept(clone):
    do(clone)
    change(clone / "experiments" / "coin_tosses.py", 'count("H")', 'count("T")')
    do(clone, resume=True)
    assert len(ran(clone)) == 8


def test_a_record_is_stale_once_a_module_that_it_reaches_does_something_else(clone):
    assert stale_records(clone) == {}  # it was never run
    do(clone)
    assert stale_records(clone) == {}
    ngram = clone / "course_lib" / "models" / "ngram.py"
    ngram.write_text(ngram.read_text() + "\n# a comment\n")
    assert stale_records(clone) == {}
    ngram.write_text(ngram.read_text() + "\nOTHER = 1\n")
    assert stale_records(clone) == {record_file(clone, NAME): ["course_lib.models.ngram changed"]}


def test_a_record_is_stamped_anew_only_where_every_setting_begins_as_it_did(clone):
    do(clone)
    source = clone / "experiments" / "coin_tosses.py"
    change(source, "HERE = ", "THERE = HERE = ")
    assert restamp(clone, find(clone, NAME)) == 2
    assert stale_records(clone) == {}
    change(source, "0.25", "0.26")
    with pytest.raises(CourseError, match=r"n 10, now begins with \[10.0, 0.26\]"):
        restamp(clone, find(clone, NAME))


def test_a_result_that_is_no_number_is_refused(clone):
    change(clone / "experiments" / "coin_tosses.py", 'tosses.count("H")', 'float("nan")')
    with pytest.raises(CourseError, match="a record cannot hold"):
        do(clone)


def test_what_is_missing_or_damaged_is_named(clone):
    with pytest.raises(CourseError, match="choose from coin-tosses"):
        find(clone, "dice")
    with pytest.raises(CourseError, match=f"run `course experiment {NAME}`"):
        load_record(NAME)
    record_file(clone, NAME).write_text('{"setting": ')
    with pytest.raises(CourseError, match="is damaged"):
        load_record(NAME)
    with pytest.raises(CourseError, match="0 seeds make no run"):
        with_seeds(find(clone, NAME), 0)


def test_the_overview_counts_runs_and_minutes(clone):
    (row,) = records.overview(clone)
    assert (row["runs"], row["minutes"]) == ("0", "0")
    do(clone)
    (row,) = records.overview(clone)
    assert (row["experiment"], row["runs"], row["question"]) == (NAME, "4", "Is it fair?")


RECORDED = [name for name in records.experiments(ROOT) if record_file(ROOT, name).exists()]


@pytest.mark.parametrize("name", RECORDED)
def test_every_committed_record_has_all_its_runs(name):
    experiment, rows = find(ROOT, name), read_rows(record_file(ROOT, name))
    wanted = [[s, seed] for seed in range(experiment.seeds) for s in experiment.grid]
    have = [json.dumps([row["setting"], row["seed"]], sort_keys=True) for row in rows]
    assert {json.dumps(w, sort_keys=True) for w in wanted} <= set(have)
