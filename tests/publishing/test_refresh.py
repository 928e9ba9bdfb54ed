import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.errors import CourseError
from course_lib.publishing import refresh as publisher
from course_lib.publishing.freshness import STAMP, changes
from course_lib.publishing.nbval import nbval_command, nbval_environment
from course_lib.publishing.refresh import execute, normalise, problems, refresh, restamp

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(tmp_path):
    """Writes a notebook of these cells into a little clone and returns its path."""

    def write(*sources, tags=(), **metadata):
        file = tmp_path / "chapters" / "01_x" / "1_page.ipynb"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / "course_lib", tmp_path / "course_lib", dirs_exist_ok=True)
        cells = [nbformat.v4.new_code_cell(s, metadata={"tags": list(tags)}) for s in sources]
        for cell in cells:
            cell.metadata.update(metadata)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
        return file

    return write


def run_nbval(page):
    return subprocess.run(
        nbval_command(str(page)),
        env=nbval_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def root(page):
    return page.parents[2]


def test_execution_stores_outputs_records_and_a_stamp(page):
    code = "from course_lib.evidence import claim, record\nclaim('n is {n}', True, n=2)"
    file = page(code, "record(loss=1.5)", "6 * 7")
    execute(file, root(file))
    notebook = nbformat.read(file, as_version=4)
    assert notebook.cells[2].outputs[0].data["text/plain"] == "42"
    assert len(notebook.cells) == 3
    stamp = notebook.metadata[STAMP]
    assert {"digests", "versions", "machine", "seconds", "peak_memory_mb", "reads"} == set(stamp)
    handed_on = json.loads((file.parent / "results.json").read_text())
    assert handed_on == {"1_page": {"claims": {"n is {n}": {"n": "2"}}, "results": {"loss": 1.5}}}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("from course_lib.evidence import claim\nclaim('no', False)", "false claim: no"),
        ("import warnings; warnings.warn('old')", "wrote to stderr"),
        ("import pathlib; print(pathlib.Path.home() / 'x')", "prints a path of this machine"),
        ("object()", "prints an object's address"),
        ("import os; os._exit(1)", "was left as it was"),
        ("import matplotlib.pyplot as plt; plt.plot([1, 2]);", "needs mystnb.image.alt"),
        (
            "import numpy as np, matplotlib.pyplot as plt\n"
            "plt.figure(figsize=(12, 12)); plt.imshow(np.random.rand(400, 400));",
            "at most 150 kB",
        ),
    ],
)
def test_a_page_that_must_not_be_published_is_refused_and_left_as_it_was(page, code, said):
    file = page(code, tags=["nbval-check-output"])
    before = file.read_bytes()
    with pytest.raises(CourseError, match=said):
        execute(file, root(file))
    assert file.read_bytes() == before
    assert not (file.parent / "results.json").exists()


def test_progress_bars_and_timestamps_do_not_reach_the_page_but_warnings_beside_them_do():
    cell = nbformat.v4.new_code_cell("x", metadata={"execution": {"started": "now"}})
    bar = nbformat.v4.new_output("stream", name="stderr", text="\r 10%|█  | 1/10 [00:00<00:01]")
    one = [nbformat.v4.new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    warning = nbformat.v4.new_output("stream", name="stderr", text="\r 9%|█ | 1/10\nold function")
    cell.outputs = [bar, *one, warning]
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    normalise(notebook)
    assert [output.text for output in cell.outputs] == ["a\nb\n", "old function"]
    assert "widgets" not in notebook.metadata
    assert "execution" not in cell.metadata
    assert "wrote to stderr" in next(iter(problems(notebook, Path("/nowhere"))))


def test_what_the_letters_of_a_picture_spell_by_chance_is_no_path():
    cell = nbformat.v4.new_code_cell(
        "x", metadata={"mystnb": {"image": {"alt": "A line that rises to the right."}}}
    )
    picture = {"image/png": "iVBOR/nowhere/w0KGgo=", "text/plain": "a figure"}
    cell.outputs = [nbformat.v4.new_output("display_data", data=picture)]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert list(problems(notebook, Path("/nowhere"))) == []
    cell.outputs[0].data["text/plain"] = "/nowhere/file"
    assert any("path of this machine" in said for said in problems(notebook, Path("/nowhere")))


def test_an_edit_made_while_the_page_runs_is_not_lost(page, monkeypatch):
    file = page("1 + 1")
    run = publisher._run

    def run_while_the_author_saves(*arguments):
        peak = run(*arguments)
        file.write_text(file.read_text().replace("1 + 1", "2 + 2"))
        return peak

    monkeypatch.setattr(publisher, "_run", run_while_the_author_saves)
    with pytest.raises(CourseError, match="was edited while it was executed"):
        execute(file, root(file))
    assert "2 + 2" in file.read_text()


def test_refresh_runs_what_is_stale_and_nothing_else(page):
    file = page("# setup", "1 + 1")
    notebook = nbformat.read(file, as_version=4)
    notebook.cells[0].metadata["tags"] = ["setup"]
    nbformat.write(notebook, file)
    (root(file) / "pyproject.toml").write_text('Repository = "https://example.org/a/b"\n')
    assert refresh(root(file), say=lambda _: None) == [file]
    assert changes(file, root(file)) == []
    assert refresh(root(file), say=lambda _: None) == []


def test_records_that_a_page_no_longer_makes_are_gone(page):
    file = page("from course_lib.evidence import record\nrecord(loss=1.0)")
    execute(file, root(file))
    file = page("1 + 1")
    execute(file, root(file))
    assert not (file.parent / "results.json").exists()


def restamp_after(page, old, new):
    """Stamp a page that claims a number from the library, change the library, restamp."""
    code = "from course_lib.errors import VALUE\nfrom course_lib.evidence import claim\n"
    file = page(code + "claim('the loss is {x}', VALUE < 2, x=VALUE)")
    library = root(file) / "course_lib" / "errors.py"
    library.write_text(library.read_text() + f"\n{old}\n")
    execute(file, root(file))
    library.write_text(library.read_text().replace(old, new))
    assert changes(file, root(file)) == ["course_lib.errors changed"]
    restamp(root(file))
    return changes(file, root(file))


def test_restamp_accepts_a_change_that_leaves_every_number(page):
    assert restamp_after(page, "VALUE = 1.5", "VALUE = 3 / 2") == []


def test_restamp_refuses_a_change_that_moves_a_number(page):
    with pytest.raises(CourseError, match="its claims or records differ"):
        restamp_after(page, "VALUE = 1.5", "VALUE = 1.9")


def test_breaking_a_stored_output_makes_nbval_fail(page):
    file = page("6 * 7", tags=["nbval-check-output"])
    execute(file, root(file))
    assert run_nbval(file).returncode == 0
    file.write_text(file.read_text().replace('"42"', '"43"'))
    done = run_nbval(file)
    assert done.returncode != 0
    assert "1 failed" in done.stdout


def test_a_false_claim_fails_nbval_but_only_warns_a_learner(page):
    file = page("from course_lib.evidence import claim\nn = 2\nclaim('n is 2', n == 2, n=n)")
    execute(file, root(file))
    file.write_text(file.read_text().replace("n = 2", "n = 3"))
    assert "1 failed" in run_nbval(file).stdout
    code = "\n".join(cell.source for cell in nbformat.read(file, as_version=4).cells)
    learner = {k: v for k, v in os.environ.items() if not k.startswith("COURSE_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=file.parent,
        env=learner,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "not reproduced here: n is 2" in done.stdout
    assert "you got 3; the page has 2" in done.stdout
