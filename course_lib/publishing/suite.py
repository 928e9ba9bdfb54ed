"""What `course test`, `course bench` and `course lab` run, one stage after the other."""

import os
import subprocess
import sys
import time
from pathlib import Path

from course_lib.publishing.nbval import nbval_command, nbval_environment
from course_lib.publishing.repository import notebooks

PYTEST = [sys.executable, "-m", "pytest"]
SHAPES = "--jaxtyping-packages=course_lib,beartype.beartype"


def run_suite(root: Path) -> int:
    """Run every stage, also after one has failed; returns the number of those that failed."""
    course = [sys.executable, "-m", "course_lib"]
    ruff = [sys.executable, "-m", "ruff"]
    pages = [str(page) for page in notebooks(root)]
    # Two at a time, each with one thread: more would wait for each other.
    stages = {
        "lint": [*ruff, "check", "."],
        "format": [*ruff, "format", "--check", "."],
        "data": [*course, "data", "fetch"],
        "freshness": [*course, "refresh", "--check"],
        "unit tests": [*PYTEST, SHAPES, "--ignore=tests/test_book.py", "-n2", "tests"],
        "notebooks": nbval_command("-n2", "--dist=loadfile", *pages),
        "book": [*PYTEST, "-n2", "--dist=loadgroup", "tests/test_book.py"],
    }
    failed = []
    for name, command in stages.items():
        print(f"\n=== {name}", flush=True)
        start = time.perf_counter()
        done = subprocess.run(command, cwd=root, env=_environment(name), check=False)
        print(f"=== {name}: {time.perf_counter() - start:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    print(f"\n{len(stages) - len(failed)} passed, {len(failed)} failed")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


def _environment(stage: str) -> dict[str, str]:
    """Neighbours do not fight over the cores; notebooks hold their claims strictly."""
    one_thread = {"OMP_NUM_THREADS": "1"}
    return nbval_environment(**one_thread) if stage == "notebooks" else os.environ | one_thread


def run_benchmarks(root: Path) -> int:
    """Run every script in benchmarks/; returns the number of those that failed."""
    failed = 0
    shared = root / "benchmarks" / "pairs.py"  # what the scripts import
    for script in sorted(set((root / "benchmarks").glob("*.py")) - {shared}):
        print(f"\n=== {script.stem}", flush=True)
        failed += subprocess.run([sys.executable, script], cwd=root, check=False).returncode != 0
    return failed


def run_lab(root: Path) -> int:
    """JupyterLab on the course's folder, until it is closed."""
    return subprocess.run([sys.executable, "-m", "jupyterlab", root], check=False).returncode
