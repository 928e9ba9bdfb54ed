import ast
import json
import shutil
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.publishing import freshness
from course_lib.publishing.freshness import STAMP, canonical, changes, digests

ROOT = Path(__file__).resolve().parents[2]


IMPORT_SHOW = "from course_lib.publishing.source import show"


def dump(source):
    return canonical(ast.parse(source))


def page_of(clone, *cells):
    """A stamped page of these code cells."""
    root, page = clone
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    stamp(page, notebook, root)
    return root, page


@pytest.mark.parametrize(
    "other",
    [
        'def f(x):\n    "Another docstring."\n    return x + 1',
        "def f(x: int) -> int:\n    return (x + 1)  # a comment",
    ],
)
def test_docstrings_comments_annotations_and_layout_do_not_count(other):
    assert dump('def f(x):\n    "Add one."\n    return x + 1') == dump(other)


@pytest.mark.parametrize("other", ["x + 2", "x - 1", "1 + x", "y + 1", "x + 1.0", "x + '1'"])
def test_every_change_of_what_code_does_counts(other):
    assert dump("x + 1") != dump(other)


@given(st.text(alphabet="abc ", max_size=8), st.text(alphabet="abc ", max_size=8))
def test_two_literals_share_a_digest_only_when_they_are_equal(a, b):
    assert (dump(f"x = {a!r}") == dump(f"x = {b!r}")) == (a == b)


@pytest.fixture
def clone(tmp_path):
    """The library and one stamped notebook that reaches course_lib.models.ngram, in a clone."""
    shutil.copytree(ROOT / "course_lib", tmp_path / "course_lib")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    page = tmp_path / "chapters" / "01_language_models" / "1_counting.ipynb"
    page.parent.mkdir(parents=True)
    code = "from course_lib.models.ngram import KneserNey\nKneserNey.__name__"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    stamp(page, notebook, tmp_path)
    return tmp_path, page


def stamp(page, notebook, root, **extra):
    notebook.metadata[STAMP] = extra
    notebook.metadata[STAMP]["digests"] = digests(page, notebook, root)
    nbformat.write(notebook, page)


def edit(root, old, new):
    file = root / "course_lib" / "models" / "ngram.py"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_an_untouched_page_is_fresh(clone):
    root, page = clone
    assert changes(page, root) == []


def test_touching_a_formula_names_the_module(clone):
    root, page = clone
    edit(root, "n[1] + 2 * n[2]", "n[1] + 3 * n[2]")
    assert changes(page, root) == ["course_lib.models.ngram changed"]


def test_editing_a_docstring_does_not_make_a_page_stale(clone):
    root, page = clone
    edit(root, '"""', '"""Said in other words. ')
    assert changes(page, root) == []


def test_a_page_that_shows_a_source_depends_on_its_text(clone):
    root, page = clone
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[0].source += f"\n{IMPORT_SHOW}\nshow(KneserNey)"
    stamp(page, notebook, root)
    text = (root / "course_lib" / "models" / "ngram.py").read_text("utf-8")
    inside = text.index('"""', text.index("class KneserNey"))
    edit(root, text[inside : inside + 20], '"""Anew. ' + text[inside + 3 : inside + 20])
    assert changes(page, root) == ["the text of course_lib.models.ngram.KneserNey changed"]


def test_editing_a_cell_makes_the_page_stale_but_the_setup_cell_does_not(clone):
    root, page = clone
    notebook = nbformat.read(page, as_version=4)
    setup = nbformat.v4.new_code_cell("install('elsewhere')", metadata={"tags": ["setup"]})
    notebook.cells.insert(0, setup)
    nbformat.write(notebook, page)
    assert changes(page, root) == []
    notebook.cells[1].source += "\n1 + 1"
    nbformat.write(notebook, page)
    assert changes(page, root) == ["its code cells changed"]


def test_a_page_that_read_a_record_is_stale_when_the_record_changes(clone):
    root, page = clone
    results = page.parent / "results.json"
    results.write_text(json.dumps({"2_other": {"results": {"loss": 1.5}}}))
    stamp(page, nbformat.read(page, as_version=4), root, reads=["01_language_models/2_other/loss"])
    assert changes(page, root) == []
    results.write_text(json.dumps({"2_other": {"results": {"loss": 1.4}}}))
    assert changes(page, root) == ["the record 01_language_models/2_other/loss changed"]


def test_a_page_that_read_an_experiment_depends_on_its_results_but_not_on_its_stamps(clone):
    root, page = clone
    row = {"setting": {}, "seed": 0, "results": {"loss": 1.5}, "seconds": 1, "machine": {}}
    record = root / "experiments" / "a_long_run.jsonl"
    record.parent.mkdir()
    record.write_text(json.dumps(row | {"code": {"a": "1"}}))
    stamp(page, nbformat.read(page, as_version=4), root, reads=["experiments/a-long-run"])
    record.write_text(json.dumps(row | {"code": {"a": "2"}}))
    assert changes(page, root) == []
    record.write_text(json.dumps(row | {"results": {"loss": 1.4}}))
    assert changes(page, root) == ["the record experiments/a-long-run changed"]


def test_a_page_that_checks_an_exercise_depends_on_its_chapters_exercises(clone):
    root, page = page_of(clone, 'check("01.1", f)')
    file = root / "course_lib" / "exercises" / "ch01_language_models.py"
    file.write_text(file.read_text("utf-8") + "\nMORE = 1\n", "utf-8")
    assert changes(page, root) == ["course_lib.exercises.ch01_language_models changed"]


@pytest.mark.parametrize(
    "cell",
    [
        "from course_lib.models import ngram",
        "import course_lib.models.ngram as counting",
        "from importlib import import_module\nm = import_module('course_lib.models.ngram')",
    ],
)
def test_a_module_is_found_however_it_is_imported(clone, cell):
    root, page = page_of(clone, cell)
    edit(root, "n[1] + 2 * n[2]", "n[1] + 3 * n[2]")
    assert changes(page, root) == ["course_lib.models.ngram changed"]


@pytest.mark.parametrize(
    "cell",
    [
        f"{IMPORT_SHOW}\nfrom course_lib.models.ngram import KneserNey as KN\nshow(KN.mix)",
        f"{IMPORT_SHOW} as see\nfrom course_lib.models.ngram import KneserNey\nsee(KneserNey)",
        f"{IMPORT_SHOW}\nfrom course_lib.models import ngram\nshow(ngram.KneserNey)",
    ],
)
def test_a_shown_text_is_found_under_any_name(clone, cell):
    root, page = page_of(clone, cell)
    text = (root / "course_lib" / "models" / "ngram.py").read_text("utf-8")
    inside = text.index('"""', text.index("class KneserNey"))
    edit(root, text[inside : inside + 20], '"""Anew. ' + text[inside + 3 : inside + 20])
    assert changes(page, root) == ["the text of course_lib.models.ngram.KneserNey changed"]


def test_show_of_a_name_from_elsewhere_is_refused(clone):
    with pytest.raises(CourseError, match="import it from the module that defines it"):
        page_of(clone, f"{IMPORT_SHOW}\nfrom course_lib.evaluation import math\nshow(math)")


def test_an_output_edited_by_hand_makes_the_page_stale(clone):
    root, page = clone
    notebook = nbformat.read(page, as_version=4)
    output = nbformat.v4.new_output("stream", text="the loss is 1.5")
    notebook.cells[0].outputs = [output]
    stamp(page, notebook, root)
    page.write_text(page.read_text("utf-8").replace("is 1.5", "is 0.2"), "utf-8")
    assert changes(page, root) == ["its stored outputs changed"]


def test_a_record_edited_by_hand_makes_its_page_stale(clone):
    root, page = clone
    results = page.parent / "results.json"
    results.write_text(json.dumps({"1_counting": {"results": {"loss": 1.5}}}))
    stamp(page, nbformat.read(page, as_version=4), root)
    results.write_text(json.dumps({"1_counting": {"results": {"loss": 1.4}}}))
    assert changes(page, root) == ["its records in results.json changed"]


@pytest.mark.parametrize("cell", ["'a displayed string'", "%%bash\necho one", "%time x = 1"])
def test_strings_and_magics_count(clone, cell):
    root, page = page_of(clone, cell)
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[0].source = (
        cell.replace("a", "b").replace("one", "two").replace("time", "timeit")
    )
    nbformat.write(notebook, page)
    assert changes(page, root) == ["its code cells changed"]


def test_numpys_version_counts_where_numpy_is_used(clone, monkeypatch):
    root, page = page_of(clone, "import numpy")
    monkeypatch.setattr(freshness.importlib.metadata, "version", lambda package: "99.1.0")
    assert changes(page, root) == ["numpy's version changed"]


def test_a_damaged_notebook_is_named(clone):
    root, page = clone
    page.write_text(page.read_text()[:50])
    with pytest.raises(CourseError, match=r"1_counting.ipynb is not a readable notebook"):
        changes(page, root)


def test_a_page_never_executed_says_so(clone):
    root, page = clone
    notebook = nbformat.read(page, as_version=4)
    del notebook.metadata[STAMP]
    nbformat.write(notebook, page)
    assert changes(page, root) == ["it has never been executed by `course refresh`"]
