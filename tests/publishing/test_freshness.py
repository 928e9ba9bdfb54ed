import json
import shutil
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.publishing import freshness
from course_lib.publishing.freshness import STAMP, canonical, changes, digests, shown_names

ROOT = Path(__file__).resolve().parents[2]


def dump(source):
    import ast

    return canonical(ast.parse(source))


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


def test_show_is_found_with_the_class_whose_method_it_prints():
    assert shown_names(["show(KneserNey.discount, evaluate)", "print(show)"]) == {
        "KneserNey",
        "evaluate",
    }


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
    notebook.cells[0].source += "\nshow(KneserNey)"
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
    results.write_text(json.dumps({"1_counting": {"results": {"loss": 1.5}}}))
    stamp(
        page, nbformat.read(page, as_version=4), root, reads=["01_language_models/1_counting/loss"]
    )
    assert changes(page, root) == []
    results.write_text(json.dumps({"1_counting": {"results": {"loss": 1.4}}}))
    assert changes(page, root) == ["the record 01_language_models/1_counting/loss changed"]


def test_a_page_that_checks_an_exercise_depends_on_its_chapters_exercises():
    found = freshness._exercise_modules(['check("01.1", f)'], ROOT)
    assert found == {"course_lib.exercises.ch01_language_models"}


def test_a_page_never_executed_says_so(clone):
    root, page = clone
    notebook = nbformat.read(page, as_version=4)
    del notebook.metadata[STAMP]
    nbformat.write(notebook, page)
    assert changes(page, root) == ["it has never been executed by `course refresh`"]
