"""The exercises page says what the library says, and the solutions page follows from it."""

import ast
import inspect

import nbformat
import pytest

from course_lib.exercises.exercise import chapters, parts
from course_lib.publishing.repository import find_root
from course_lib.publishing.solutions import generate_solutions, solution_source, sources

PAGES = {page.parent.name[:2]: page for page in find_root().glob("chapters/*/exercises.ipynb")}
SETUP_TAG = "setup"
EXERCISES = {exercise.id: exercise for chapter in chapters().values() for exercise in chapter}
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
every_chapter = pytest.mark.parametrize("chapter", chapters())


def page_of(exercise):
    return nbformat.read(PAGES[exercise.chapter], as_version=4)


def cell_tagged(notebook, tag):
    (found,) = (cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))
    return found


def without_setup(cells):
    return [cell for cell in cells if SETUP_TAG not in cell[3]]


@every_chapter
def test_the_committed_solutions_are_the_generated_ones(chapter):
    committed = nbformat.read(PAGES[chapter].with_name("solutions.ipynb"), as_version=4)
    generated = generate_solutions(PAGES[chapter])
    assert without_setup(sources(committed)) == without_setup(sources(generated))


@every_chapter
def test_generating_twice_gives_the_same_bytes_and_valid_notebooks(chapter):
    one, other = generate_solutions(PAGES[chapter]), generate_solutions(PAGES[chapter])
    assert nbformat.writes(one) == nbformat.writes(other)
    nbformat.validate(one)


@every_exercise
def test_a_heading_says_what_the_exercise_is_worth(exercise):
    kind = "elective" if exercise.elective else "core"
    points = "1 point" if exercise.points == 1 else f"{exercise.points} points"
    start = (
        f"## {exercise.id} {exercise.title}\n\n*{points} · about "
        f"{exercise.minutes} minutes · difficulty {exercise.difficulty} of 3 · {kind}*\n\n"
        f"{exercise.objective}\n"
    )
    assert [c for c in page_of(exercise).cells if c.source.startswith(start)]


@every_exercise
def test_a_stub_has_the_references_signature_and_docstring_and_raises(exercise):
    stub = ast.parse(cell_tagged(page_of(exercise), f"exercise-{exercise.id}").source)
    assert len(stub.body) == len(parts(exercise.reference))
    for ours, part in zip(stub.body, parts(exercise.reference), strict=True):
        (theirs,) = ast.parse(inspect.getsource(part)).body
        assert ast.unparse(ours.args) == ast.unparse(theirs.args)
        assert ours.name == theirs.name
        assert ast.get_docstring(ours) == ast.get_docstring(theirs)
        assert ast.unparse(ours.body[1:]) == "raise NotImplementedError"


@every_exercise
def test_the_committed_page_is_blank_with_true_outputs(exercise):
    check = cell_tagged(page_of(exercise), f"check-{exercise.id}")
    assert check.source == exercise.check_cell
    assert "nbval-check-output" in check.metadata.tags
    assert [output.text for output in check.outputs] == [exercise.no_answer + "\n"]


@pytest.mark.parametrize(
    "exercise", [e for e in EXERCISES.values() if e.title.startswith("Spot the bug")]
)
def test_broken_code_on_the_page_is_the_known_mistake(exercise):
    code = "\n".join(cell.source for cell in page_of(exercise).cells)
    for part in parts(next(iter(exercise.mistakes))):
        assert inspect.getsource(part).strip() in code


@every_chapter
def test_headings_start_with_one_title_and_skip_no_level(chapter):
    for name in ("exercises.ipynb", "solutions.ipynb"):
        cells = nbformat.read(PAGES[chapter].with_name(name), as_version=4).cells
        levels = [
            len(line.split(" ")[0])
            for cell in cells
            if cell.cell_type == "markdown"
            for line in cell.source.splitlines()
            if line.startswith("#")
        ]
        assert levels == [1] + [2] * len(chapters()[chapter])


def test_a_solution_brings_the_imports_that_the_page_lacks():
    sampling = EXERCISES["01.9"]
    alone = solution_source(sampling, set())
    assert alone.startswith("import numpy as np\nfrom jaxtyping import Float\n\n\ndef sample(")
    present = {"import numpy as np", "from jaxtyping import Float, Int"}
    assert solution_source(sampling, present).startswith("def sample(")
