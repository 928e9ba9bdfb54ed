"""Which names an answer uses although its exercise rules them out (`without=`).

The answer's source is read, not run. Names are resolved through the imports in its body and the
globals it was defined with, so `F.softmax`, `torch.nn.functional.softmax` and
`from torch.nn.functional import softmax as s` are the same name; helpers defined beside the
answer are read too. This tells an honest learner what to leave out; whoever wants to deceive a
static reader can, and grading does not rely on it.
"""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

ALWAYS = ("course_lib.exercises",)  # where the answers are


def prohibited_name(part: Any, without: tuple[str, ...]) -> str | None:
    """The first prohibited name that the function, class or source text uses; None if none."""
    rules = (*without, *ALWAYS)
    for name in _names(part, seen=set()):
        if any(name == rule or name.startswith(rule + ".") for rule in rules):
            return name
    return None


def _names(part: Any, seen: set[int]) -> Iterator[str]:
    """Dotted names of everything that the part imports or mentions."""
    if isinstance(part, str):
        yield from _names_in(ast.parse(part), {}, None, seen)
        return
    if isinstance(part, type):
        for member in vars(part).values():
            member = getattr(member, "__func__", member)  # of static and class methods
            if isinstance(member, FunctionType):
                yield from _names(member, seen)
        return
    function = inspect.unwrap(part)
    if id(function) in seen or not isinstance(function, FunctionType):
        return
    seen.add(id(function))
    try:
        tree: ast.AST = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # no source, or a lambda in the middle of an expression
        tree = ast.parse("\n".join(function.__code__.co_names))
    if function.__name__ == "<lambda>":  # its source is the whole line around it
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        tree = ast.List(lambdas, ast.Load()) if lambdas else tree
    yield from _names_in(tree, function.__globals__, function.__module__, seen)


def _names_in(
    tree: ast.AST, scope: dict[str, Any], home: str | None, seen: set[int]
) -> Iterator[str]:
    imported = {}  # names bound by imports in the body
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                imported[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("__import__", "import_module")
        ):
            yield from (str(arg.value) for arg in node.args if isinstance(arg, ast.Constant))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        root, *attributes = ast.unparse(node).split(".") if _is_dotted(node) else [""]
        if root in imported:
            yield ".".join([imported[root], *attributes])
        elif root in scope:
            value = scope[root]
            if getattr(value, "__module__", None) == home and callable(value):
                yield from _names(value, seen)
            else:
                yield _resolved(value, attributes)
        elif hasattr(builtins, root):
            yield ".".join([root, *attributes])


def _is_dotted(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _resolved(value: Any, attributes: list[str]) -> str:
    """The full name of value.attribute…, following modules to their own names."""
    name = _full_name(value)
    for attribute in attributes:
        value = getattr(value, attribute, None)
        name = value.__name__ if isinstance(value, ModuleType) else f"{name}.{attribute}"
    return name


def _full_name(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return f"{module}.{name}" if module and name else ""
