"""solutions.ipynb, generated from exercises.ipynb: the same page with the references filled in.

Each stub cell (tag `exercise-01.3`) becomes the source of that exercise's reference, with the
helpers and imports it needs unless the page has them already. Check cells stay, so the page's
outputs prove the solutions; under each stands what goes wrong most often. The result depends on
nothing but the page and the library; a test holds the committed page to it.
"""

import ast
import functools
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import nbformat

from course_lib.exercises.exercise import Exercise, find, parts

EXERCISE_TAG = re.compile(r"exercise-(\d\d\.\d+)")
HINTS = re.compile(r"\n*^Stuck\?.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
OPENING = (
    "The references of this chapter's exercises, with the checks they pass and the mistakes the "
    "checks know by name. Try [the exercises](exercises.ipynb) first: a check tells you the "
    "smallest case that goes wrong, and a solution tells you nothing that you will remember."
)


def sources(notebook: nbformat.NotebookNode) -> list[tuple[str, str, str, list[str]]]:
    """What a page says, without its outputs: (id, kind, source, tags) of each cell."""
    return [
        (cell.id, cell.cell_type, cell.source, cell.metadata.get("tags", []))
        for cell in notebook.cells
    ]


def generate_solutions(exercises_path: Path) -> nbformat.NotebookNode:
    """The solutions page of an exercises.ipynb, not yet executed."""
    page = nbformat.read(exercises_path, as_version=4)
    solved, titled = [], False
    present = {
        line
        for cell in page.cells
        if cell.cell_type == "code" and _exercise_of(cell) is None
        for line in cell.source.splitlines()
    }
    for cell in page.cells:
        if cell.cell_type == "markdown" and not titled:
            title = cell.source.splitlines()[0].replace("Exercises", "Solutions")
            cell.source, titled = f"{title}\n\n{OPENING}", True
        elif cell.cell_type == "markdown":
            cell.source = HINTS.sub("", cell.source).strip()
        else:
            cell.outputs, cell.execution_count = [], None
            if exercise := _exercise_of(cell):
                cell.source = solution_source(exercise, present)
        solved.append(cell)
        if checked := _checked_by(cell):
            lines = [f"- {sentence}" for sentence in checked.mistakes.values()]
            mistakes = "What goes wrong most often:\n\n" + "\n".join(lines)
            id = f"mistakes-{checked.id.replace('.', '-')}"
            solved.append(nbformat.v4.new_markdown_cell(mistakes, id=id))
    page.cells = solved
    page.metadata = nbformat.from_dict({"kernelspec": page.metadata.kernelspec})
    return page


def solution_source(exercise: Exercise, present: set[str]) -> str:
    """The reference's source, after the imports and helpers it needs that are not `present`.

    `present` holds lines of code, such as `import numpy as np`, that the page already runs.
    """
    pieces: dict[str, str] = {}
    for part in parts(exercise.reference):
        _collect(part.__name__, sys.modules[part.__module__], pieces)
    imports = [text for text in pieces.values() if text.startswith(("import ", "from "))]
    rest = [text for text in pieces.values() if text not in imports]
    needed = set(imports) - _bindings(present)
    ordered = [
        *sorted(i for i in needed if i.startswith("import")),
        *sorted(f for f in needed if f.startswith("from")),
    ]
    return "\n\n\n".join([*(["\n".join(ordered)] if ordered else []), *rest])


def _exercise_of(cell: Any) -> Exercise | None:
    """The exercise whose answer goes into this cell."""
    for tag in cell.metadata.get("tags", []):
        if match := EXERCISE_TAG.fullmatch(tag):
            return find(match[1])
    return None


def _checked_by(cell: Any) -> Exercise | None:
    """The exercise that this cell checks."""
    for tag in cell.metadata.get("tags", []):
        if tag.startswith("check-"):
            return find(tag.removeprefix("check-"))
    return None


def _collect(name: str, module: Any, pieces: dict[str, str]) -> None:
    """Add the definition of `name` in the module's source after all that it mentions."""
    source, definitions = _definitions(module)
    definition = definitions.get(name)
    if definition is None or name in pieces:
        return
    if isinstance(definition, str):
        pieces[name] = definition
        return
    pieces[name] = ""  # so that functions that call each other end
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id != name:
            _collect(node.id, module, pieces)
    del pieces[name]  # after what it needs
    pieces[name] = ast.get_source_segment(source, definition) or ""


@functools.cache
def _definitions(module: Any) -> tuple[str, dict[str, ast.stmt | str]]:
    """A module's source, and what it defines at its top: imports as lines of their own, the rest
    as statements."""
    source = inspect.getsource(module)
    found: dict[str, ast.stmt | str] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found.update(_imports(statement))
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = statement
    return source, found


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, str]:
    start = f"from {statement.module} " if isinstance(statement, ast.ImportFrom) else ""
    return {
        alias.asname or alias.name: f"{start}import {ast.unparse(alias)}"
        for alias in statement.names
    }


def _bindings(lines: set[str]) -> set[str]:
    """Import lines taken apart, one name each."""
    found: set[str] = set()
    for line in lines:
        if line.startswith(("import ", "from ")):
            statement = ast.parse(line).body[0]
            if isinstance(statement, ast.Import | ast.ImportFrom):
                found.update(_imports(statement).values())
    return found
