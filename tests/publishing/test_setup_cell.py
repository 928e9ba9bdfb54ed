import builtins
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from course_lib.errors import CourseError
from course_lib.publishing.repository import notebooks
from course_lib.publishing.setup_cell import (
    PLACES,
    first_code_cell,
    repository_url,
    set_repository,
    setup_cell,
    stamp_setup_cells,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "page", notebooks(ROOT), ids=lambda page: f"{page.parent.name}/{page.stem}"
)
def test_every_notebook_begins_with_the_same_setup_cell(page):
    notebook = nbformat.read(page, as_version=4)
    cell = notebook.cells[first_code_cell(notebook, page)]
    assert cell.source == setup_cell(ROOT)


def test_every_file_that_names_the_repository_is_one_that_can_be_changed():
    naming = subprocess.run(
        ["git", "grep", "-l", "--fixed-strings", repository_url(ROOT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(naming) - set(PLACES) <= {str(p.relative_to(ROOT)) for p in notebooks(ROOT)}
    assert set(PLACES) <= set(naming)


def test_the_setup_cell_does_nothing_where_the_course_is_installed(capsys):
    exec(setup_cell(ROOT), {})
    assert capsys.readouterr().out == ""


def run_without_course_lib(monkeypatch, colab):
    """Run the setup cell as if course_lib were not there; returns the commands it ran."""
    commands = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", builtins)
    exec(setup_cell(ROOT), {})
    return commands


def test_on_colab_it_leaves_numpy_and_torch_alone(monkeypatch, capsys):
    first, second = run_without_course_lib(monkeypatch, colab=True)
    assert first[-2:] == ["--no-deps", f"git+{repository_url(ROOT)}"]
    assert second[-3:] == ["hypothesis", "jaxtyping", "sacrebleu"]
    assert capsys.readouterr().out.count("\n") == 1


def test_elsewhere_it_says_what_to_do(monkeypatch):
    with pytest.raises(ImportError, match="make lab"):
        run_without_course_lib(monkeypatch, colab=False)


@pytest.fixture
def clone(tmp_path):
    for name in PLACES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    folder = tmp_path / "chapters" / "01_x"
    folder.mkdir(parents=True)
    cell = nbformat.v4.new_code_cell("old", metadata={"tags": ["setup"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "1_a.ipynb")
    return tmp_path


def test_a_forks_address_reaches_every_place(clone):
    stamp_setup_cells(clone)
    set_repository(clone, "https://example.org/us/fork.git")
    assert repository_url(clone) == "https://example.org/us/fork"
    for name in PLACES:
        text = (clone / name).read_text()
        assert "https://example.org/us/fork" in text
        assert repository_url(ROOT) not in text
    assert "cd fork\n" in (clone / "README.md").read_text()
    page = nbformat.read(clone / "chapters" / "01_x" / "1_a.ipynb", as_version=4)
    assert "git+https://example.org/us/fork" in page.cells[0].source


def test_what_is_no_address_is_refused(clone):
    with pytest.raises(CourseError, match="not a repository's address"):
        set_repository(clone, "our fork")


def test_a_notebook_without_a_setup_cell_is_named(clone):
    page = clone / "chapters" / "01_x" / "1_a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), page)
    with pytest.raises(CourseError, match=r"1_a.ipynb: the first code cell"):
        stamp_setup_cells(clone)


def test_a_longer_address_that_begins_alike_is_left_alone(clone):
    readme = clone / "README.md"
    readme.write_text(readme.read_text() + repository_url(clone) + "-data\n")
    set_repository(clone, "https://example.org/group/sub/fork")
    assert readme.read_text().endswith(repository_url(ROOT) + "-data\n")
