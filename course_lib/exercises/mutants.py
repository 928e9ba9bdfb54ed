"""Automatic mutants of a reference: the same code with one small thing wrong.

A check that lets a mutant pass would let a learner's slip pass too. So the proofs make every
mutant of every reference (axis, sign, off by one, missing term, wrong reduction, dropped mask or
condition, swapped operands, another base of the logarithm) and count those that a check catches.
"""

import ast
import copy
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from course_lib.exercises.checking import cases_of
from course_lib.exercises.exercise import Exercise, parts
from course_lib.exercises.running import TooSlow, run, same_outcome, time_limit

SECONDS = 2.0  # a mutant that runs longer than this on all inputs is caught: it never ends

ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Pow: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
COMPARISON: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
CALLED = {  # functions and methods that are mistaken for each other
    "sum": "mean",
    "mean": "sum",
    "max": "min",
    "min": "max",
    "argmax": "argmin",
    "argmin": "argmax",
    "log": "log2",
    "log2": "log",
    "cumsum": "cumprod",
    "maximum": "minimum",
    "minimum": "maximum",
}
NOT_IN_BUILTINS = {"mean", "log2"}


@dataclass(frozen=True)
class Mutant:
    change: str  # "a + b → a - b", unique within its reference
    answer: Any  # to be checked like a learner's


def mutants(exercise: Exercise) -> Iterator[Mutant]:
    """Every mutant of the exercise's reference, one change at a time."""
    whole = parts(exercise.reference)
    for position, part in enumerate(whole):
        for change, mutated in _mutants_of(part):
            answer = (*whole[:position], mutated, *whole[position + 1 :])
            yield Mutant(change, answer if len(answer) > 1 else mutated)


def is_caught(exercise: Exercise, mutant: Mutant) -> bool:
    """Whether at least one of the exercise's inputs tells the mutant from the reference."""
    function = exercise.as_function(mutant.answer)
    try:
        with time_limit(SECONDS):
            return any(
                not same_outcome(run(function, case.inputs), case.expected, exercise.tolerance)
                for case in cases_of(exercise)
            )
    except TooSlow:
        return True


def _mutants_of(part: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    source = textwrap.dedent(inspect.getsource(part))
    original = ast.parse(source)
    namespace = vars(sys.modules[part.__module__])
    seen = {ast.unparse(original)}
    for path in _places(original.body[0]):
        for replacement in _variations(_at(original, path), path):
            tree = copy.deepcopy(original)
            _put(tree, path, replacement)
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text in seen:
                continue
            seen.add(text)
            scope = dict(namespace)
            exec(compile(text, f"<mutant of {part.__name__}>", "exec"), scope)
            before, after = _differing_line(ast.unparse(original), text)
            yield f"{part.__name__}: {before} → {after}", scope[part.__name__]


def _differing_line(before: str, after: str) -> tuple[str, str]:
    lines = zip_longest(before.splitlines(), after.splitlines(), fillvalue="")
    return next((b.strip(), a.strip()) for b, a in lines if b != a)


Path = tuple[tuple[str, int | None], ...]  # (field, index in a list or None) from the root down


def _places(definition: ast.AST) -> Iterator[Path]:
    """Where mutations may be made: bodies without docstrings; no signatures or annotations."""

    def below(node: ast.AST, path: Path) -> Iterator[Path]:
        for field, value in ast.iter_fields(node):
            if field in {"args", "returns", "annotation", "decorator_list"} and not isinstance(
                node, ast.Call
            ):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(child, ast.AST) and not _is_text(child):
                    here = (*path, (field, index))
                    yield here
                    yield from below(child, here)

    yield from below(definition, (("body", 0),))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _at(tree: ast.AST, path: Path) -> Any:
    for field, index in path:
        tree = getattr(tree, field) if index is None else getattr(tree, field)[index]
    return tree


def _put(tree: ast.AST, path: Path, replacement: ast.AST) -> None:
    parent = _at(tree, path[:-1])
    field, index = path[-1]
    if index is None:
        setattr(parent, field, copy.deepcopy(replacement))
    else:
        getattr(parent, field)[index] = copy.deepcopy(replacement)


def _variations(node: ast.AST, path: Path) -> Iterator[ast.AST]:
    """What could stand here by mistake."""
    field = path[-1][0]
    if isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.BinOp):
        yield node.left  # a missing term or factor
        yield node.right
        if type(node.op) in ARITHMETIC:
            yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        if not isinstance(node.op, ast.Add | ast.Mult):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand  # a flipped sign, a dropped `not`
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISON:
        yield ast.Compare(
            node.left, [COMPARISON[type(node.ops[0])](), *node.ops[1:]], node.comparators
        )
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        yield from node.values
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.If):
        yield ast.If(ast.Constant(True), node.body, node.orelse)
        yield ast.If(ast.Constant(False), node.body, node.orelse)
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)
    elif isinstance(node, ast.AugAssign):
        yield ast.Pass()
        if type(node.op) in ARITHMETIC:
            yield ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value)
    elif isinstance(node, ast.Slice):
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            if bound is not None:
                yield _with(node, name, None)
                if not isinstance(bound, ast.Constant):
                    yield _with(node, name, ast.BinOp(bound, ast.Add(), ast.Constant(1)))
                    yield _with(node, name, ast.BinOp(bound, ast.Sub(), ast.Constant(1)))
    elif isinstance(node, ast.keyword) and node.arg in {"axis", "dim", "keepdims", "keepdim"}:
        yield from _axes(node)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Attribute) and node.attr in {"T", "mT"} and field != "func":
        yield node.value


def _constants(value: Any) -> Iterator[ast.AST]:
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value + 1.0)


def _axes(node: ast.keyword) -> Iterator[ast.AST]:
    if node.arg in {"keepdims", "keepdim"}:
        return  # its value is a constant, mutated as such
    yield ast.keyword(node.arg, ast.Constant(None))
    for axis in (0, 1, -1):
        yield ast.keyword(node.arg, ast.Constant(axis))


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    if name in CALLED:
        other = CALLED[name]
        if isinstance(called, ast.Attribute):
            yield _with(node, "func", _with(called, "attr", other))
        elif other not in NOT_IN_BUILTINS:
            yield _with(node, "func", ast.Name(other, ast.Load()))
        if name in {"max", "min", "maximum", "minimum"} and len(node.args) == 2:
            yield from node.args  # a dropped clip
    if name in {"abs", "sorted", "round", "set", "exp", "sqrt", "log"} and node.args:
        yield node.args[0]
    if name == "range":
        for position, bound in enumerate(node.args):
            if not isinstance(bound, ast.Constant):
                for operator in (ast.Add(), ast.Sub()):
                    arguments = list(node.args)
                    arguments[position] = ast.BinOp(bound, operator, ast.Constant(1))
                    yield _with(node, "args", arguments)


def _with(node: ast.AST, field: str, value: Any) -> Any:
    """A copy of the node with one field replaced."""
    changed = copy.copy(node)
    setattr(changed, field, value)
    return changed
