"""Is a page's stored output still what its code would give? Digests of all it depends on.

A page depends on its own code cells, on every course_lib module that they reach, on NumPy's and
torch's version where those are used, on the records of other pages that it reads, and on the source
that it prints with `show`. Each gets a digest; they are stamped into the notebook when it is
executed, and compared here. So do its stored outputs and what it handed on in results.json: neither
can be edited by hand unnoticed. Docstrings, comments, type annotations and layout of the library do
not count, so that mending a sentence does not make the book stale.
"""

import ast
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat

from course_lib.errors import CourseError
from course_lib.evidence import RESULTS
from course_lib.experiments import RECORDS, measured, read_rows, record_file
from course_lib.publishing.setup_cell import SETUP_TAG

PACKAGE = "course_lib"
SHOW_MODULE = "course_lib.publishing.source"
VERSIONED = ("numpy", "torch")  # whose next version may draw other random numbers
STAMP = "course"  # the key in a notebook's metadata


def digests(page: Path, notebook: nbformat.NotebookNode, root: Path) -> dict[str, str]:
    """A digest for each thing that the outputs of `page` depend on, by its readable name."""
    code = [cell.source for cell in code_cells(notebook)]
    trees = [ast.parse(strip_magics(cell)) for cell in code]
    imported = {local: found for tree in trees for local, found in imports(tree, root)}
    found = {
        "its code cells": digest_of("\n".join(map(_canonical_cell, code))),
        "its stored outputs": digest_of("\n".join(map(_outputs, code_cells(notebook)))),
        "its records in results.json": digest_of(json.dumps(_entry(page), sort_keys=True)),
    }
    asked = {module for module, _ in imported.values()} | _named_modules(trees, root)
    asked |= _exercise_modules(code, root)
    found |= library_digests(asked, code, root)
    for module, name in shown(trees, imported):
        source = module_file(module, root).read_text("utf-8")
        found[f"the text of {module}.{name}"] = digest_of(_definition(source, module, name))
    for read in notebook.metadata.get(STAMP, {}).get("reads", []):
        found[f"the record {read}"] = _record_digest(root, read)
    return found


def library_digests(asked: set[str], code: list[str], root: Path) -> dict[str, str]:
    """A digest for each module that `asked` reach, and the versions that they or `code` rely on."""
    sources = {
        module: module_file(module, root).read_text("utf-8")
        for module in sorted(reachable(frozenset(asked), root))
    }
    found = {module: digest_of(canonical(ast.parse(text))) for module, text in sources.items()}
    for package in VERSIONED:
        if any(f"import {package}" in text for text in [*code, *sources.values()]):
            found[f"{package}'s version"] = _version(package)
    return found


def changes(page: Path, root: Path) -> list[str]:
    """What has changed since `page` was executed, each as a few words; empty where it is fresh."""
    notebook = read_notebook(page)
    stamped = notebook.metadata.get(STAMP, {}).get("digests")
    if stamped is None:
        return ["it has never been executed by `course refresh`"]
    try:
        current = digests(page, notebook, root)
    except SyntaxError as error:
        return [f"a cell is not Python: {error}"]
    return differences(stamped, current)


def differences(stamped: dict[str, str], current: dict[str, str]) -> list[str]:
    """What changed between two sets of digests, each as a few words."""
    said = []
    for name in sorted({*stamped, *current}):
        if name not in stamped:
            said.append(f"{name} is new to it")
        elif name not in current:
            said.append(f"{name} is gone")
        elif stamped[name] != current[name]:
            said.append(f"{name} changed")
    return said


def read_notebook(page: Path) -> nbformat.NotebookNode:
    """The notebook in `page`. Raises CourseError when it is damaged or no notebook at all."""
    try:
        return nbformat.read(page, as_version=4)
    except (ValueError, KeyError, AttributeError) as error:
        raise CourseError(
            f"{page.name} is not a readable notebook ({type(error).__name__}); "
            f"restore it with `git checkout {page.name}`"
        ) from None


# ----------------------------------------------------------------------- what the cells reach


def code_cells(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """The code cells, without the setup cell: it carries the repository's address, which a fork
    changes, and does nothing where the course is installed."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and SETUP_TAG not in cell.metadata.get("tags", []):
            yield cell


def strip_magics(source: str) -> str:
    """Cell source that Python can parse: a %% cell is none, % and ! lines are left out."""
    if source.lstrip().startswith("%%"):
        return ""
    return re.sub(r"^\s*[%!].*$", "", source, flags=re.M)


def _canonical_cell(source: str) -> str:
    """What a cell does: its code in canonical form, with the text of its magic lines."""
    code = strip_magics(source)
    magics = source if not code else "\n".join(re.findall(r"^\s*[%!].*$", source, flags=re.M))
    body = ",".join(canonical(statement) for statement in ast.parse(code).body)
    return f"{magics}[{body}]"


def _outputs(cell: nbformat.NotebookNode) -> str:
    """The cell's stored outputs, without the count of executions."""
    kept = [
        {key: o[key] for key in ("output_type", "text", "data") if key in o} for o in cell.outputs
    ]
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def imports(tree: ast.AST, root: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """(local name, (module, name in it)) for each import of course_lib, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found = (inner, "") if is_module(inner, root) else (node.module, alias.name)
                yield alias.asname or alias.name, found
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.asname or alias.name, (alias.name, "")


def _named_modules(trees: list[ast.Module], root: Path) -> set[str]:
    """Modules that a cell names in a string, as for importlib.import_module."""
    strings = (n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant))
    named = re.compile(rf"{PACKAGE}(\.\w+)+")
    return {s for s in strings if isinstance(s, str) and named.fullmatch(s) and is_module(s, root)}


def reachable(modules: frozenset[str], root: Path) -> set[str]:
    """`modules` and every course_lib module that they import, directly or not."""
    graph = _import_graph()
    asked = {module for module in modules if module in graph.modules}
    upstream = {up for module in asked for up in graph.find_upstream_modules(module)}
    return {m for m in asked | upstream if module_file(m, root).stat().st_size > 0}


@cache
def _import_graph():
    import grimp

    return grimp.build_graph(PACKAGE, cache_dir=None)


def module_file(module: str, root: Path) -> Path:
    """The source file of a module or package of the clone in `root`."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def is_module(name: str, root: Path) -> bool:
    """Is there a module or package of this dotted name in the clone?"""
    return module_file(name, root).is_file()


def _exercise_modules(code: list[str], root: Path) -> set[str]:
    """`check("05.1", …)` finds its exercise by number, which no import shows."""
    numbers = {
        n for cell in code for n in re.findall(r"""\b(?:check|hint)\(\s*["'](\d\d)\.""", cell)
    }
    files = [f for n in numbers for f in (root / PACKAGE / "exercises").glob(f"ch{n}_*.py")]
    return {f"{PACKAGE}.exercises.{file.stem}" for file in files}


def shown(
    trees: list[ast.Module], imported: dict[str, tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """(module, name) of what the cells print with `show`: show(KneserNey), show(ngram.sample)."""
    shows = {local for local, found in imported.items() if found == (SHOW_MODULE, "show")}
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    for call in calls:
        if not (isinstance(call.func, ast.Name) and call.func.id in shows):
            continue
        for argument in call.args:
            path = []
            while isinstance(argument, ast.Attribute):
                path, argument = [argument.attr, *path], argument.value
            if isinstance(argument, ast.Name) and argument.id in imported:
                module, name = imported[argument.id]
                yield module, name or path[0]


def _definition(source: str, module: str, name: str) -> str:
    """The text of the definition of `name` at the top level of `source`."""
    for node in ast.parse(source).body:
        if getattr(node, "name", None) == name:
            return ast.get_source_segment(source, node) or ""
    raise CourseError(f"show({name}): import it from the module that defines it, not {module}")


def _version(package: str) -> str:
    """Major and minor version of a package, or "none" where it is not installed."""
    try:
        return ".".join(importlib.metadata.version(package).split("+")[0].split(".")[:2])
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _entry(page: Path) -> dict:
    """What `page` itself handed on in its chapter's results.json."""
    file = page.parent / RESULTS
    return json.loads(file.read_text("utf-8")).get(page.stem, {}) if file.exists() else {}


def _record_digest(root: Path, read: str) -> str:
    folder, _, name = read.partition("/")
    if folder == RECORDS:  # what was measured, without the stamps of the code that measured it
        rows = read_rows(record_file(root, name)) if record_file(root, name).exists() else []
        return digest_of(json.dumps([measured(row) for row in rows], sort_keys=True))
    chapter, stem, name = read.split("/")
    entry = _entry(root / "chapters" / chapter / f"{stem}.ipynb")
    return digest_of(json.dumps(entry.get("results", {}).get(name), sort_keys=True))


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


def digest_of(text: str) -> str:
    """Sixteen hexadecimal digits that stand for `text`."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
