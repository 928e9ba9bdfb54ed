"""`course experiment`: make the runs of an experiment, keep its record, and say when it is stale.

A run is one setting of the grid with one seed. Finished runs are kept one by one in
experiments/unfinished/NAME/, so that a killed grid goes on (`--resume`) where it was; the record
experiments/NAME.jsonl is replaced only once all runs are there. Each run is stamped with digests
of the experiment's code and of all of course_lib that it reaches, like a page (freshness.py).
"""

import ast
import importlib.util
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from course_lib import environment
from course_lib.data import corpora
from course_lib.errors import CourseError
from course_lib.experiments import RECORDS, Experiment, Row, Setting, read_rows, record_file
from course_lib.files import write_atomically
from course_lib.publishing.freshness import (
    canonical,
    differences,
    digest_of,
    imports,
    library_digests,
)

PROBE_TOLERANCE = 1e-3  # relative: another machine rounds otherwise, another algorithm differs more


def experiments(root: Path) -> list[str]:
    """The names of all experiments in the clone."""
    return sorted(f.stem.replace("_", "-") for f in (root / RECORDS).glob("[!_]*.py"))


def find(root: Path, name: str) -> Experiment:
    """The experiment called `name`. Raises CourseError when there is none."""
    if name not in experiments(root):
        raise CourseError(
            f"there is no experiment {name!r}; choose from {', '.join(experiments(root)) or 'none'}"
        )
    spec = importlib.util.spec_from_file_location(f"experiment {name}", _source(root, name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXPERIMENT


def perform(
    root: Path,
    experiment: Experiment,
    *,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Make every run of the experiment and write its record; returns the record's rows.

    With `resume`, runs that were finished with the code as it is now are kept, from an unfinished
    grid and from the record. Seeds come one after the other, so that a grid that is stopped has
    about as many runs of each setting. A record is not replaced by one of fewer seeds.

    A second process that resumes the same grid shares it: each run is made by one of them, and
    the last to end writes the record. What is returned is then what is finished so far.

    Raises CourseError when an unfinished grid is in the way.
    """
    grid = _Grid(root, experiment)
    if grid.folder.exists() and not resume:
        raise CourseError(
            f"an unfinished {experiment.name} is in {grid.folder}; go on with it by --resume, or "
            "delete that folder to begin again"
        )
    grid.open(resume)
    for i, (setting, seed) in enumerate(grid.runs, 1):
        key = _key(setting, seed)
        said = f"run {i} of {len(grid.runs)}: {_words(setting)}, seed {seed}"
        with _only_here(grid.place(key).with_suffix(".lock")) as mine:
            if key in grid.finished():
                say(f"{said}: kept")
            elif not mine:
                say(f"{said}: another process is at it")
            else:
                say(said)
                row = _run(experiment, setting, seed, grid.place(key), grid.stamp)
                grid.add(row)
                say(f"  {row['seconds']:.0f} s")
    return grid.close(say)


class _Grid:
    """The runs of an experiment, and the file of those that are finished, which processes share."""

    def __init__(self, root: Path, experiment: Experiment) -> None:
        self.folder = root / RECORDS / "unfinished" / experiment.name
        self.kept_in = self.folder / "runs.jsonl"
        self.record = record_file(root, experiment.name)
        self.stamp = code_digests(root, experiment.name)
        self.runs = [(s, seed) for seed in range(experiment.seeds) for s in experiment.grid]
        self.lock = FileLock(self.folder.with_name(f"{experiment.name}.lock"))

    def place(self, key: str) -> Path:
        """Where a run keeps what it needs to go on: other code, other place."""
        return self.folder / digest_of(key + json.dumps(self.stamp))

    def open(self, resume: bool) -> None:
        """Begin the file of finished runs, with those that may be kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.lock:
            recorded = read_rows(self.record) if self.record.exists() else []
            fresh = [r for r in self._kept() + recorded if resume and r["code"] == self.stamp]
            by_key = {_key(row["setting"], row["seed"]): row for row in fresh}
            write_atomically(self.kept_in, _lines(by_key.values()))

    def finished(self) -> dict[str, Row]:
        """The finished runs by their keys, this process's and others'."""
        with self.lock:
            # without the file, another process has just written the record
            rows = self._kept() if self.kept_in.exists() else read_rows(self.record)
        return {_key(r["setting"], r["seed"]): r for r in rows if r["code"] == self.stamp}

    def add(self, row: Row) -> None:
        """Keep a run that has ended."""
        with self.lock:
            write_atomically(self.kept_in, _lines([*self._kept(), row]))

    def close(self, say: Callable[[str], None]) -> list[Row]:
        """Write the record, if all runs are there and it does not hold more."""
        finished = self.finished()
        keys = [_key(setting, seed) for setting, seed in self.runs]
        rows = [finished[key] for key in keys if key in finished]
        if len(rows) < len(keys) or any(map(_is_taken, self.folder.glob("*.lock"))):
            say("other processes are still at runs of this grid; the last of them records all")
            return rows
        with self.lock:
            if self.record.exists() and len(read_rows(self.record)) > len(rows):
                say(f"the record holds more runs and is left as it is; yours are in {self.kept_in}")
                return rows
            write_atomically(self.record, _lines(rows))
            shutil.rmtree(self.folder, ignore_errors=True)
        return rows

    def _kept(self) -> list[Row]:
        return read_rows(self.kept_in) if self.kept_in.exists() else []


@contextmanager
def _only_here(file: Path) -> Iterator[bool]:
    """Whether no other process is at it; none can begin before this one is done."""
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _is_taken(file: Path) -> bool:
    with _only_here(file) as mine:
        return not mine


def _run(
    experiment: Experiment, setting: Setting, seed: int, place: Path, stamp: dict[str, str]
) -> Row:
    """One run, and all that must be known to judge it."""
    place.mkdir(parents=True, exist_ok=True)
    wall, cpu = time.perf_counter(), time.process_time()
    results = experiment.run(setting, seed, place)
    row = {
        "setting": setting,
        "seed": seed,
        "results": _finite(results),
        "probe": experiment.probe(setting) if seed == 0 else None,
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "machine": environment.machine(),
        "versions": environment.versions(),
        "texts": {name: _text_digest(name) for name in experiment.texts},
        "code": stamp,
    }
    shutil.rmtree(place)
    return row


# -------------------------------------------------------------------------------------- freshness


def code_digests(root: Path, name: str) -> dict[str, str]:
    """A digest for the experiment's file and for each module of course_lib that it reaches.

    How many seeds are asked for is left out: more of them change no run.
    """
    source = _source(root, name).read_text("utf-8")
    tree = ast.parse(source)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Experiment":
            call.keywords = [k for k in call.keywords if k.arg != "seeds"]
    asked = {module for _, (module, _) in imports(tree, root)} - {"course_lib.experiments"}
    return {"its code": digest_of(canonical(tree))} | library_digests(asked, [source], root)


def stale_records(root: Path) -> dict[Path, list[str]]:
    """Each record whose experiment is no longer what it was, with what changed.

    An experiment that was never run has none; a page that asks for its record fails.
    """
    found = {}
    for name in experiments(root):
        record = record_file(root, name)
        if not record.exists():
            continue
        current = code_digests(root, name)
        said = {s: None for row in read_rows(record) for s in differences(row["code"], current)}
        if said:
            found[record] = list(said)
    return found


def restamp(root: Path, experiment: Experiment) -> int:
    """Stamp the record as made by the code as it is now, if that still begins every run alike.

    Runs the first moments of each setting (its probe) and compares them with what the record has.
    Returns how many settings were tried. Raises CourseError where one begins otherwise.
    """
    record = record_file(root, experiment.name)
    rows = read_rows(record)
    stamp = code_digests(root, experiment.name)
    probed = [row for row in rows if row["probe"] is not None]
    for row in probed:
        now = experiment.probe(row["setting"])
        same = len(now) == len(row["probe"]) and all(
            math.isclose(a, b, rel_tol=PROBE_TOLERANCE)
            for a, b in zip(now, row["probe"], strict=True)
        )
        if not same:
            raise CourseError(
                f"{experiment.name}, {_words(row['setting'])}, now begins with {now[:4]} where the "
                f"record has {row['probe'][:4]}; run `course experiment {experiment.name}`"
            )
    write_atomically(record, _lines([row | {"code": stamp} for row in rows]))
    return len(probed)


def overview(root: Path) -> list[dict[str, str]]:
    """One line an experiment: what it asks, how many runs are recorded (0: it is still to be made),
    and what they took."""
    table = []
    for name in experiments(root):
        record = record_file(root, name)
        rows = read_rows(record) if record.exists() else []
        cores = sorted({str(row["machine"]["cores"]) for row in rows})
        table.append(
            {
                "experiment": name,
                "question": find(root, name).question,
                "runs": str(len(rows)),
                "minutes": f"{sum(row['seconds'] for row in rows) / 60:.0f}",
                "cores": ", ".join(cores),
            }
        )
    return table


# ---------------------------------------------------------------------------------------- details


def with_seeds(experiment: Experiment, seeds: int | None) -> Experiment:
    """The experiment with another number of seeds. Raises CourseError for less than one."""
    if seeds is not None and seeds < 1:
        raise CourseError(f"{seeds} seeds make no run; give 1 or more")
    return replace(experiment, seeds=seeds or experiment.seeds)


def _source(root: Path, name: str) -> Path:
    return root / RECORDS / f"{name.replace('-', '_')}.py"


def _key(setting: Setting, seed: int) -> str:
    return json.dumps([setting, seed], sort_keys=True)


def _words(setting: Setting) -> str:
    return ", ".join(f"{key} {value}" for key, value in setting.items())


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _finite(value: object) -> object:
    """`value`, if JSON can hold it as it is; a loss that is not a number is no result."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CourseError(f"a run returned what a record cannot hold: {error}") from None


def _text_digest(name: str) -> str:
    corpus = corpora.load(name)
    return digest_of("\0".join([corpus.train, corpus.validation, corpus.test]))
