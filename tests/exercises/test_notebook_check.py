"""`course check`: a real nbval run over notebooks as learners hand them in."""

import re
from pathlib import Path

import nbformat
import pytest

from course_lib.errors import CourseError
from course_lib.exercises.exercise import chapters, parts
from course_lib.exercises.notebook_check import check_notebook
from course_lib.publishing.repository import find_root
from course_lib.publishing.solutions import solution_source

PAGES = {page.parent.name[:2]: page for page in find_root().glob("chapters/*/exercises.ipynb")}


def cell_tagged(notebook, tag):
    (found,) = (cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))
    return found


def saved_wrong(page, exercise, folder):
    """A notebook in which one exercise is answered wrongly, run, and saved with its output."""
    notebook = nbformat.read(page, as_version=4)
    mistake = next(iter(exercise.mistakes))
    lines = ["from course_lib.exercises.exercise import find"]
    for number, part in enumerate(parts(exercise.reference)):
        wrong = f"list(find('{exercise.id}').mistakes)[0]"
        wrong += f"[{number}]" if isinstance(mistake, tuple) else ""
        lines.append(f"{part.__name__} = {wrong}")
    cell_tagged(notebook, f"exercise-{exercise.id}").source = "\n".join(lines)
    check = cell_tagged(notebook, f"check-{exercise.id}")
    check.outputs = [
        nbformat.v4.new_output("error", ename="WrongAnswer", evalue="…", traceback=["…"])
    ]
    path = folder / "answers.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize("chapter", chapters())
def test_a_saved_wrong_answer_fails_and_the_blank_ones_are_not_answered(chapter, tmp_path):
    first, *others = chapters()[chapter]
    path = saved_wrong(PAGES[chapter], first, tmp_path)
    before = path.read_bytes()
    report = check_notebook(path)
    assert (report.points, report.passed) == (0, False)
    assert report.results[0].status == "wrong"
    assert report.results[0].message.startswith(f"{first.id} wrong, 0/{first.points}: ")
    assert [result.status for result in report.results[1:]] == ["not answered"] * len(others)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["answers.ipynb"]


@pytest.mark.parametrize("chapter", chapters())
def test_the_solutions_earn_every_point(chapter):
    report = check_notebook(PAGES[chapter].with_name("solutions.ipynb"))
    assert report.passed
    assert report.points == report.out_of == sum(e.points for e in chapters()[chapter])


def notebook_of(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])


def checked(notebook, folder, **options):
    nbformat.write(notebook, folder / "mine.ipynb")
    report = check_notebook(folder / "mine.ipynb", **options)
    return {result.exercise.id: result for result in report.results}


ADD_K = re.sub(
    r'""".*?"""', "'''Add k.'''", solution_source(chapters()["01"][2], set()), flags=re.DOTALL
)


def test_neither_a_forged_check_nor_a_mess_around_it_changes_the_result(tmp_path):
    notebook = notebook_of(
        ADD_K,
        "check = print  # forged",
        "1 / 0",
        'check("01.3", add_k)  # changed',
        "def next_char_probs(text, history:",
        'check("01.1", next_char_probs)',
        'print("01.2 correct, 2/2")\n# check("01.2", scores)',
    )
    notebook.cells[5].metadata["tags"] = ["nbval-skip"]
    results = checked(notebook, tmp_path)
    assert results["01.3"].status == "correct"
    assert "SyntaxError" in results["01.1"].message
    assert results["01.2"].status == "wrong"  # its check cell is gone: put back, nothing to check
    assert "NameError" in results["01.2"].message


def test_an_endless_loop_is_reported_and_does_not_hide_what_came_before(tmp_path):
    notebook = notebook_of(
        ADD_K,
        'check("01.3", add_k)',
        "while True:\n    pass",
        'check("01.1", print)',
    )
    results = checked(notebook, tmp_path, seconds=10)
    assert results["01.3"].status == "correct"
    assert "not reached, because an earlier cell never ended" in results["01.1"].message


def test_what_is_no_notebook_of_a_chapter_is_a_clear_error(tmp_path):
    def error_of(content, name="mine.ipynb"):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(CourseError) as raised:
            check_notebook(path)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "is not a notebook" in error_of("hello", "notes.txt")
    assert "is not a notebook" in error_of('{"cells": 3}')
    assert "has no check cells" in error_of(nbformat.writes(notebook_of("1 + 1")))
    mixed = notebook_of('check("01.1", f)', 'check("02.1", g)')
    assert "mixes chapters 01, 02" in error_of(nbformat.writes(mixed))
    strange = notebook_of('check("99.1", f)')
    assert "no chapter 99 has exercises" in error_of(nbformat.writes(strange))
    unknown = notebook_of('check("01.77", f)')
    assert "01.77, which chapter 01 lacks" in error_of(nbformat.writes(unknown))
    with pytest.raises(CourseError, match="there is no file"):
        check_notebook(Path("nowhere.ipynb"))
