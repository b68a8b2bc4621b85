"""Small changes of meaning to a module's source, one at a time: what a mistaken edit could have been."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "filter": "exclude", "exclude": "filter"}
# What only speaks to people or to the types: its wording is no guard.
QUIET_CALLS = {"log", "warning", "info", "exception", "error", "cast"}
FIELD_OPTIONS = {"max_length", "null", "blank", "db_index", "editable", "unique"}


@dataclass(frozen=True)
class Mutant:
    """One change: where, what stood there, what stands there now, and the whole source with it.

    `lines` are those of the statement around it, without the block beneath: a test that runs none of them cannot tell.
    """

    line: int
    lines: range
    before: str
    after: str
    source: str


def mutants_of(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, from its top to its end. Docstrings, texts, types and log lines are left alone."""
    tree = ast.parse(source)
    places = list(_places(tree))
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    for place, node in enumerate(places):
        for number in range(_ways(node)):
            copy = ast.parse(source)
            twin = list(_places(copy))[place]
            before = ast.unparse(node)
            _change(copy, twin, number)
            lines = _statement_lines(statements, node)
            yield Mutant(node.lineno, lines, before, _shown(twin), ast.unparse(ast.fix_missing_locations(copy)))


def _statement_lines(statements: list[ast.stmt], node: ast.expr | ast.stmt) -> range:
    """The lines of the smallest statement that holds the node, to the first line of its block if it has one."""
    around = [each for each in statements if _start(each) <= _start(node) and _end(each) >= _end(node)]
    smallest = max(around, key=_start)
    block = getattr(smallest, "body", None)
    return range(smallest.lineno, block[0].lineno if block else _end(smallest)[0] + 1)


def _start(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _places(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """What can be changed, within functions and at the top, in the order of the source."""
    for child in ast.iter_child_nodes(tree):
        if _is_quiet(child):
            continue
        if isinstance(child, ast.expr | ast.stmt) and _ways(child):
            yield child
        if isinstance(child, ast.FunctionDef):
            for part in (*child.args.defaults, *child.body):
                yield from _place_and_below(part)
        elif isinstance(child, ast.AnnAssign):
            if child.value is not None:
                yield from _place_and_below(child.value)
        else:
            yield from _places(child)


def _place_and_below(node: ast.expr | ast.stmt) -> Iterator[ast.expr | ast.stmt]:
    if _is_quiet(node):
        return
    if _ways(node):
        yield node
    yield from _places(node)


def _is_quiet(node: ast.AST) -> bool:
    """Whether it guards nothing while the program runs.

    A model's `Meta` and its fields but for their defaults say what the database is made of: the migrations do that,
    and `make check` holds the two together. `__str__` is for a programmer's eyes, `frozen=True` for the types.
    """
    if isinstance(node, ast.ClassDef):
        return node.name == "Meta"
    if isinstance(node, ast.FunctionDef):
        return node.name == "__str__"
    if isinstance(node, ast.Call) and _name(node) == "dataclass":
        return True
    if isinstance(node, ast.keyword):
        return node.arg in FIELD_OPTIONS
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant):
            return True
        called = node.value.func if isinstance(node.value, ast.Call) else None
        return isinstance(called, ast.Attribute) and called.attr in QUIET_CALLS
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Raise) and node.cause is not None
    )


def _ways(node: ast.AST) -> int:
    """In how many ways it is changed."""
    match node:
        case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
            return 1
        case ast.BinOp() if type(node.op) in COUNTED:
            return 1
        case ast.BoolOp() | ast.IfExp() | ast.If():
            return 1
        case ast.UnaryOp() if isinstance(node.op, ast.Not | ast.Invert):
            return 1
        case ast.Constant() if type(node.value) in (bool, int):
            return 1
        case ast.Call() if _name(node) in CALLED:
            return 1
        case ast.Return() if node.value is not None and not isinstance(node.value, ast.Constant):
            return 1
        case ast.Expr() if isinstance(node.value, ast.Call):
            return 1
        case ast.AugAssign() if type(node.op) in COUNTED:
            return 1
    return 0


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _change(tree: ast.AST, node: ast.AST, number: int) -> None:
    match node:
        case ast.Compare():
            node.ops = [COMPARED[type(node.ops[0])]()]
        case ast.BinOp() | ast.AugAssign():
            node.op = COUNTED[type(node.op)]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.IfExp():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.If():
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.UnaryOp():
            _replace(tree, node, node.operand)
        case ast.Constant():
            node.value = (not node.value) if isinstance(node.value, bool) else node.value + 1
        case ast.Call():
            if isinstance(node.func, ast.Name):
                node.func.id = CALLED[node.func.id]
            elif isinstance(node.func, ast.Attribute):
                node.func.attr = CALLED[node.func.attr]
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.Expr():
            node.value = ast.Constant(None)


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if each is old else each for each in value]


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.UnaryOp):
        return ast.unparse(node.operand)
    return ast.unparse(node)
