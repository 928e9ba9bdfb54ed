"""`course refresh`: execute notebooks on a fresh kernel, normalise them, stamp what they depend on.

The same file is the source, what Colab opens, what nbval re-executes and what the book shows. A
notebook is refused (and the old file kept) when a cell fails, when a figure has no alt text or is
too heavy, or when an output would differ on the next machine.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

from course_lib import environment
from course_lib.errors import CourseError
from course_lib.evidence import RESULTS
from course_lib.files import write_atomically
from course_lib.publishing.freshness import STAMP, changes, digests, read_notebook
from course_lib.publishing.nbval import CELL_TIMEOUT, nbval_command, nbval_environment
from course_lib.publishing.repository import notebooks
from course_lib.publishing.setup_cell import stamp_setup_cells
from course_lib.publishing.solutions import generate_solutions, sources

MAX_IMAGE_BYTES = 150_000
EXERCISES, SOLUTIONS = "exercises.ipynb", "solutions.ipynb"
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
    found = {page: why_stale(page, root) for page in pages(root, names)}
    return {page: said for page, said in found.items() if said}


def pages(root: Path, names: list[str] | None = None) -> list[Path]:
    """The chapters' notebooks in reading order, with the solutions that are still to be made."""
    there = set(notebooks(root, names))
    there |= {page.with_name(SOLUTIONS) for page in there if page.name == EXERCISES}
    return sorted(there)


def why_stale(page: Path, root: Path) -> list[str]:
    """What changed since `page` was executed; for solutions, also in the exercises they solve."""
    if not page.exists():
        return ["it is new"]
    if page.name == SOLUTIONS:
        solved = generate_solutions(page.with_name(EXERCISES))
        if sources(solved) != sources(read_notebook(page)):
            return ["its exercises changed"]
    return changes(page, root)


def refresh(
    root: Path, names: list[str] | None = None, *, say: Callable[[str], None] = print
) -> list[Path]:
    """Execute the stale pages (or, when chapters are named, all of theirs) in reading order.

    Solutions are generated anew from their exercises. Returns the pages written.
    """
    stamp_setup_cells(root, names)
    written = []
    for page in pages(root, names):
        why = why_stale(page, root)
        if why or names:
            say(f"{page.relative_to(root)}: {'; '.join(why[:3]) or 'asked for'}")
            seconds = execute(page, root)
            say(f"  executed in {seconds:.1f} s")
            written.append(page)
    return written


def restamp(root: Path, names: list[str] | None = None) -> list[Path]:
    """Stamp stale pages as fresh, without new outputs, where they still give the ones they have.

    That is: nbval is green, and the claims and records come out as results.json has them (but for
    seconds). For a change in the library that leaves every number as it was.
    """
    stamped = []
    for page in stale_pages(root, names):
        notebook = read_notebook(page) if page.exists() else {"metadata": {}}
        if STAMP not in notebook["metadata"]:
            raise CourseError(f"{page.relative_to(root)} was never executed: run `course refresh`")
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / RESULTS
            done = subprocess.run(
                nbval_command(str(page)),
                capture_output=True,
                text=True,
                env=nbval_environment(COURSE_RESULTS=str(results), PYTHONPATH=str(root)),
                check=False,
            )
            found = _collected(results)
        found.pop("reads", None)
        before = json.loads((page.parent / RESULTS).read_text("utf-8")).get(page.stem, {})
        if done.returncode or _without_seconds(found) != _without_seconds(before):
            why = done.stdout[-2000:] if done.returncode else "its claims or records differ"
            raise CourseError(
                f"{page.relative_to(root)} no longer gives what it shows; "
                f"run `course refresh {page.parent.name}`\n{why}"
            )
        notebook.metadata[STAMP]["digests"] = digests(page, notebook, root)
        write_atomically(page, nbformat.writes(notebook) + "\n")
        stamped.append(page)
    return stamped


def _collected(results: Path) -> dict:
    return json.loads(results.read_text("utf-8")) if results.exists() else {}


def _without_seconds(value: object) -> object:
    """`value` without what differs from run to run: entries called "seconds"."""
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if k != "seconds"}
    return [_without_seconds(item) for item in value] if isinstance(value, list) else value


# -------------------------------------------------------------------------------- one notebook


def execute(page: Path, root: Path) -> float:
    """Run `page` top to bottom, write it with its outputs, records and stamp; returns seconds.

    Nothing is written unless the whole page may be published, and nothing over an edit that was
    made while it ran: in both cases CourseError says why.
    """
    before = page.read_bytes() if page.exists() else b""
    if page.name == SOLUTIONS:
        notebook = generate_solutions(page.with_name(EXERCISES))
    else:
        notebook = read_notebook(page)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / RESULTS
        start = time.perf_counter()
        peak = _run(notebook, page, root, results)
        seconds = time.perf_counter() - start
        found = _collected(results)
    normalise(notebook)
    if refused := list(problems(notebook, root)):
        said = "\n".join(f"  - {problem}" for problem in refused)
        raise CourseError(f"{page.relative_to(root)} was left as it was:\n{said}")
    if (page.read_bytes() if page.exists() else b"") != before:
        raise CourseError(
            f"{page.relative_to(root)} was edited while it was executed, and is left as it now is; "
            "run `course refresh` again"
        )
    reads = sorted(found.pop("reads", {}))
    _hand_on(page, found)  # a kill between this and the next line leaves a page that is stale
    notebook.metadata[STAMP] = {"reads": reads}
    notebook.metadata[STAMP] |= {
        "digests": digests(page, notebook, root),
        "versions": environment.versions(),
        "machine": environment.machine(),
        "seconds": round(seconds, 1),
        "peak_memory_mb": peak,
    }
    write_atomically(page, nbformat.writes(notebook) + "\n")
    return seconds


def _run(notebook: nbformat.NotebookNode, page: Path, root: Path, results: Path) -> int | None:
    """Execute on a fresh kernel; returns its peak memory in MB, where the system tells."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        record_timing=False,
        resources={"metadata": {"path": str(page.parent)}},
    )
    env = {**os.environ, "COURSE_STRICT": "1", "COURSE_RESULTS": str(results)}
    env["PYTHONPATH"] = str(root)  # the library that is stamped is the one that runs
    peak = nbformat.v4.new_code_cell(PEAK_MEMORY)
    try:
        with client.setup_kernel(env=env):
            notebook.cells.append(peak)  # asked last, and taken out again below
            for i, cell in enumerate(notebook.cells):
                client.execute_cell(cell, i)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # the kernel colours its tracebacks
        raise CourseError(f"{page.name} failed and was left as it was:\n{said}") from error
    notebook.cells.pop()
    return int(peak.outputs[0].text) if peak.outputs else None


def _hand_on(page: Path, found: dict) -> None:
    """Put this page's records and claims into its chapter's results.json."""
    file = page.parent / RESULTS
    content = _collected(file)
    content[page.stem] = found
    there = {other.stem for other in page.parent.glob("*.ipynb")} | {page.stem}
    kept = {stem: content[stem] for stem in sorted(content) if stem in there and content[stem]}
    if kept:
        write_atomically(file, json.dumps(kept, ensure_ascii=False, indent=1) + "\n")
    else:
        file.unlink(missing_ok=True)


# ------------------------------------------------------------------------- normal and portable


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Take out what would differ between two runs of the same code, and nothing else."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **{k: v for k, v in notebook.metadata.items() if k == STAMP},
        }
    )
    for cell in notebook.cells:
        for key in NOISE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [
                o for o in map(_without_progress_bars, _merged(cell.outputs)) if o is not None
            ]


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


def _without_progress_bars(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """The output without the lines that a progress bar redrew; None when nothing else is left."""
    if output.get("name") != "stderr":
        return output
    lines = [line for line in output.text.splitlines() if line.strip()]
    output.text = "\n".join(line for line in lines if not re.search(r"\d+%\|.*\|", line))
    return output if output.text else None


def problems(notebook: nbformat.NotebookNode, root: Path) -> Iterator[str]:
    """What the page must not hold: each as a sentence that says where, what, and what to do."""
    here = [json.dumps(str(p))[1:-1] for p in (root, Path.home(), tempfile.gettempdir())]
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        where = f"cell {number} ({cell.source.strip().partition(chr(10))[0][:50]})"
        tagged = COMPARED in cell.metadata.get("tags", [])
        for output in cell.outputs:
            shown = {k: v for k, v in output.get("data", {}).items() if k != "image/png"}
            text = json.dumps({**output, "data": shown}, ensure_ascii=False)
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
