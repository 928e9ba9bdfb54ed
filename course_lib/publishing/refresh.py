"""`course refresh`: execute notebooks on a fresh kernel, normalise them, stamp what they depend on.

The same file is the source, what Colab opens, what nbval re-executes and what the book shows. A
notebook is refused (and the old file kept) when a cell fails, when a figure has no alt text or is
too heavy, or when an output would differ on the next machine.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

from course_lib import environment
from course_lib.errors import CourseError
from course_lib.evidence import RESULTS
from course_lib.files import write_atomically
from course_lib.publishing.freshness import STAMP, changes, digests
from course_lib.publishing.repository import notebooks
from course_lib.publishing.setup_cell import stamp_setup_cells
from course_lib.publishing.solutions import write_solutions

MAX_IMAGE_BYTES = 150_000
CELL_TIMEOUT = 300  # seconds
NOISE = ("execution", "ExecuteTime", "collapsed", "scrolled", "outputId", "colab", "id", "trusted")
PEAK_MEMORY = """\
try:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
except ImportError:  # Windows
    pass"""
COMPARED = "nbval-check-output"  # cells whose output nbval compares


def stale_pages(root: Path, names: list[str] | None = None) -> dict[Path, list[str]]:
    """Each page that is not fresh, with what changed since it was executed."""
    found = {page: changes(page, root) for page in notebooks(root, names)}
    return {page: said for page, said in found.items() if said}


def refresh(
    root: Path, names: list[str] | None = None, *, say: Callable[[str], None] = print
) -> list[Path]:
    """Execute the stale pages (or, when chapters are named, all of theirs) in reading order.

    Solutions are first generated anew from the exercises. Returns the pages written.
    """
    write_solutions(root, names)
    stamp_setup_cells(root, names)
    written = []
    for page in notebooks(root, names):
        why = changes(page, root)
        if why or names:
            say(f"{page.relative_to(root)}: {'; '.join(why[:3]) or 'asked for'}")
            seconds = execute(page, root)
            say(f"  executed in {seconds:.1f} s")
            written.append(page)
    return written


def restamp(root: Path, names: list[str] | None = None) -> list[Path]:
    """Stamp stale pages as fresh, without new outputs, where nbval is green on them as they are.

    For a change in the library that leaves every checked output and every claim as it was.
    """
    stamped = []
    for page in stale_pages(root, names):
        done = run_nbval([page])
        if done.returncode:
            raise CourseError(
                f"{page.relative_to(root)} no longer gives its stored outputs; "
                f"run `course refresh {page.parent.name}`\n{done.stdout[-2000:]}"
            )
        notebook = nbformat.read(page, as_version=4)
        if STAMP not in notebook.metadata:
            raise CourseError(f"{page.relative_to(root)} was never executed: run `course refresh`")
        notebook.metadata[STAMP]["digests"] = digests(page, notebook, root)
        write_atomically(page, nbformat.writes(notebook) + "\n")
        stamped.append(page)
    return stamped


def run_nbval(pages: list[Path], *options: str) -> subprocess.CompletedProcess:
    """nbval over `pages` as `make test` runs it; its report is in `.stdout`."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"]
    command += [f"--nbval-cell-timeout={CELL_TIMEOUT}", "-p", "no:cacheprovider", *options]
    strict = {**os.environ, "COURSE_STRICT": "1"}
    return subprocess.run(
        [*command, *map(str, pages)], capture_output=True, text=True, env=strict, check=False
    )


# -------------------------------------------------------------------------------- one notebook


def execute(page: Path, root: Path) -> float:
    """Run `page` top to bottom, write it with its outputs, records and stamp; returns seconds."""
    notebook = nbformat.read(page, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / RESULTS
        start = time.perf_counter()
        peak = _run(notebook, page, results)
        seconds = time.perf_counter() - start
        found = json.loads(results.read_text("utf-8")) if results.exists() else {}
    normalise(notebook)
    if refused := list(problems(notebook, root)):
        said = "\n".join(f"  - {problem}" for problem in refused)
        raise CourseError(f"{page.relative_to(root)} was left as it was:\n{said}")
    notebook.metadata[STAMP] = {"reads": sorted(found.pop("reads", {}))}
    notebook.metadata[STAMP] |= {
        "digests": digests(page, notebook, root),
        "versions": environment.versions(),
        "machine": environment.machine(),
        "seconds": round(seconds, 1),
        "peak_memory_mb": peak,
    }
    _hand_on(page, found)
    write_atomically(page, nbformat.writes(notebook) + "\n")
    return seconds


def _run(notebook: nbformat.NotebookNode, page: Path, results: Path) -> int | None:
    """Execute on a fresh kernel; returns its peak memory in MB, where the system tells."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(page.parent)}},
    )
    env = {**os.environ, "COURSE_STRICT": "1", "COURSE_RESULTS": str(results)}
    peak = nbformat.v4.new_code_cell(PEAK_MEMORY)
    try:
        with client.setup_kernel(env=env):
            notebook.cells.append(peak)  # asked last, and taken out again below
            for i, cell in enumerate(notebook.cells):
                client.execute_cell(cell, i)
    except (CellExecutionError, CellTimeoutError) as error:
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # the kernel colours its tracebacks
        raise CourseError(f"{page.name} failed and was left as it was:\n{said}") from error
    notebook.cells.pop()
    return int(peak.outputs[0].text) if peak.outputs else None


def _hand_on(page: Path, found: dict) -> None:
    """Put this page's records and claims into its chapter's results.json."""
    file = page.parent / RESULTS
    content = json.loads(file.read_text("utf-8")) if file.exists() else {}
    content.pop(page.stem, None)
    if found:
        content[page.stem] = found
    if content:
        ordered = {stem: content[stem] for stem in sorted(content)}
        write_atomically(file, json.dumps(ordered, ensure_ascii=False, indent=1) + "\n")


# ------------------------------------------------------------------------- normal and portable


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Take out what would differ between two runs of the same code, and nothing else."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **{k: v for k, v in notebook.metadata.items() if k in (STAMP, "exercises")},
        }
    )
    for cell in notebook.cells:
        for key in NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in _merged(cell.outputs) if not _is_progress_bar(o)]


def _merged(outputs: list) -> list:
    """Neighbouring pieces of one stream as one, whatever the kernel's timing cut them into."""
    merged: list = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def _is_progress_bar(output: nbformat.NotebookNode) -> bool:
    return output.get("name") == "stderr" and "\r" in output.text


def problems(notebook: nbformat.NotebookNode, root: Path) -> Iterator[str]:
    """What the page must not hold: each as a sentence that says where, what, and what to do."""
    here = [str(root), str(Path.home()), tempfile.gettempdir()]
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        where = f"cell {number} ({cell.source.strip().splitlines()[0][:50] if cell.source else ''})"
        tagged = COMPARED in cell.metadata.get("tags", [])
        for output in cell.outputs:
            text = json.dumps(output, ensure_ascii=False)
            if output.get("name") == "stderr":
                yield f"{where} wrote to stderr ({output.text[:80]!r}): mend the warning"
            if any(path in text for path in here if len(path) > 1):
                yield f"{where} prints a path of this machine"
            if tagged and re.search(r"\bat 0x[0-9a-f]+", text):
                yield f"{where} prints an object's address, which the next run will not"
            image = output.get("data", {}).get("image/png")
            if image:
                size = len(image) * 3 // 4
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                if size > MAX_IMAGE_BYTES:
                    yield f"{where} draws {size // 1000} kB; at most {MAX_IMAGE_BYTES // 1000} kB"
                if len(alt) < 20:
                    yield f"{where} needs mystnb.image.alt: what does the figure show?"
