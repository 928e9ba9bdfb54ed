"""Is a page's stored output still what its code would give? Digests of all it depends on.

A page depends on its own code cells, on every course_lib module that they reach, on the records of
other pages that it reads, and on the source that it prints with `show`. Each gets a digest; they
are stamped into the notebook when it is executed, and compared here. Docstrings, comments, type
annotations and layout do not count, so that mending a sentence does not make the book stale.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat

from course_lib.evidence import RESULTS
from course_lib.publishing.setup_cell import SETUP_TAG

PACKAGE = "course_lib"
STAMP = "course"  # the key in a notebook's metadata


def digests(page: Path, notebook: nbformat.NotebookNode, root: Path) -> dict[str, str]:
    """A digest for each thing that the outputs of `page` depend on, by its readable name."""
    code = [strip_magics(cell.source) for cell in code_cells(notebook)]
    found = {"its code cells": _digest("\n".join(canonical(ast.parse(cell)) for cell in code))}
    imported = dict(item for cell in code for item in imports(ast.parse(cell)))
    asked = set(imported.values()) | _exercise_modules(code, root)
    for module in sorted(reachable(frozenset(asked), root)):
        source = module_file(module, root).read_text("utf-8")
        found[module] = _digest(canonical(ast.parse(source)))
    for name in shown_names(code):
        if name in imported:
            source = module_file(imported[name], root).read_text("utf-8")
            found[f"the text of {imported[name]}.{name}"] = _digest(_definition(source, name))
    for read in notebook.metadata.get(STAMP, {}).get("reads", []):
        found[f"the record {read}"] = _record_digest(root, read)
    return found


def changes(page: Path, root: Path) -> list[str]:
    """What has changed since `page` was executed, each as a few words; empty where it is fresh."""
    notebook = nbformat.read(page, as_version=4)
    stamped = notebook.metadata.get(STAMP, {}).get("digests")
    if stamped is None:
        return ["it has never been executed by `course refresh`"]
    current = digests(page, notebook, root)
    said = []
    for name in sorted({*stamped, *current}):
        if name not in stamped:
            said.append(f"{name} is new to it")
        elif name not in current:
            said.append(f"{name} is gone")
        elif stamped[name] != current[name]:
            said.append(f"{name} changed")
    return said


# ----------------------------------------------------------------------- what the cells reach


def code_cells(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """The code cells, without the setup cell: it carries the repository's address, which a fork
    changes, and does nothing where the course is installed."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and SETUP_TAG not in cell.metadata.get("tags", []):
            yield cell


def strip_magics(source: str) -> str:
    """Cell source that Python can parse: IPython's % and ! lines are left out."""
    return re.sub(r"^\s*[%!].*$", "", source, flags=re.M)


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(local name, module) for each import of course_lib in the tree, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, node.module
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.asname or alias.name, alias.name


def reachable(modules: frozenset[str], root: Path) -> set[str]:
    """`modules` and every course_lib module that they import, directly or not."""
    graph = _import_graph(root)
    asked = {module for module in modules if module in graph.modules}
    upstream = {up for module in asked for up in graph.find_upstream_modules(module)}
    return {m for m in asked | upstream if module_file(m, root).stat().st_size > 0}


@cache
def _import_graph(root: Path):
    import grimp

    return grimp.build_graph(PACKAGE, cache_dir=None)


def module_file(module: str, root: Path) -> Path:
    """The source file of a module or package of the clone in `root`."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exercise_modules(code: list[str], root: Path) -> set[str]:
    """`check("05.1", …)` finds its exercise by number, which no import shows."""
    numbers = {
        n for cell in code for n in re.findall(r"""\b(?:check|hint)\(\s*["'](\d\d)\.""", cell)
    }
    files = [f for n in numbers for f in (root / PACKAGE / "exercises").glob(f"ch{n}_*.py")]
    return {f"{PACKAGE}.exercises.{file.stem}" for file in files}


def shown_names(code: list[str]) -> set[str]:
    """Names whose source the cells print: show(KneserNey) and show(KneserNey.discount)."""
    shown = set()
    for cell in code:
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show":
                for argument in node.args:
                    while isinstance(argument, ast.Attribute):
                        argument = argument.value
                    if isinstance(argument, ast.Name):
                        shown.add(argument.id)
    return shown


def _definition(source: str, name: str) -> str:
    """The text of the definition of `name` at the top level of `source`."""
    for node in ast.parse(source).body:
        if getattr(node, "name", None) == name:
            return ast.get_source_segment(source, node) or ""
    return ""


def _record_digest(root: Path, read: str) -> str:
    chapter, stem, name = read.split("/")
    file = root / "chapters" / chapter / RESULTS
    pages = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return _digest(json.dumps(pages.get(stem, {}).get("results", {}).get(name), sort_keys=True))


# ------------------------------------------------------------------------------ canonical code


def canonical(node: ast.AST) -> str:
    """`node` as text that says what the code does and nothing of how it is written or annotated.

    Our own dump, since ast.dump and ast.unparse differ between Python versions.
    """
    fields = []
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_comment", "kind", "type_params"):
            continue
        if name == "body" and isinstance(value, list):
            value = _without_docstring(value)
        fields.append((name, _canonical_value(value)))
    inside = ",".join(f"{name}={value}" for name, value in sorted(fields) if value)
    return f"{type(node).__name__}({inside})"


def _canonical_value(value: object) -> str:
    if isinstance(value, ast.AST):
        return canonical(value)
    if isinstance(value, list):
        inside = ",".join(_canonical_value(item) for item in value)
        return f"[{inside}]" if inside else ""
    return "" if value is None else repr(value)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text and isinstance(first.value.value, str) else body


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
