"""How the house is laid out: which room may import which, and where what is known of a thing stands.

docs/architecture.md draws what these tests hold.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import imports
import networkx as nx
import pytest
from comparisons import compared

from pjc.dialects import ops
from pjc.passes.solvers import SOLVERS

PAGE = (imports.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ARROW = re.compile(r"^ *(\S+) +─▶ (.+)$", re.MULTILINE)
"""A line of the picture: a room, and the rooms that it imports."""


def rooms() -> dict[str, set[str]]:
    """Return the rooms and those that each imports, read from the code."""
    found: dict[str, set[str]] = {imports.room(module): set() for module in imports.modules()}
    for one, other in imports.graph().edges:
        if imports.room(one) != imports.room(other):
            found[imports.room(one)].add(imports.room(other))
    return found


def drawn() -> dict[str, set[str]]:
    """Return the rooms and arrows of the picture, in its order."""
    return {
        room: set() if others == "nothing" else set(re.split(r", *", others))
        for room, others in ARROW.findall(PAGE)
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    circles = [sorted(each) for each in nx.strongly_connected_components(imports.graph()) if len(each) > 1]
    assert circles == []


def test_the_picture_shows_every_room_and_every_arrow() -> None:
    assert drawn() == rooms()


def test_arrows_go_down_the_picture() -> None:
    order = list(drawn())
    up = [(one, other) for one in order for other in drawn()[one] if order.index(other) <= order.index(one)]
    assert up == []


@pytest.mark.parametrize(
    ("room", "library"),
    [("dialects", "jax"), ("passes", "jax"), ("runtime/projections", "xdsl"), ("runtime/data", "jax")],
)
def test_rooms_leave_alone_what_is_not_theirs(room: str, library: str) -> None:
    mine = [module for module in imports.modules() if imports.room(module) == room]
    assert mine
    assert [module for module in mine if library in imports.imported(module)] == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([name, "--help"] for name in ("train", "evaluate", "predict", "info"))],
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from pjc.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'jax', 'numpy', 'xdsl', 'sklearn', 'networkx', 'rich', 'lark'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=imports.ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_dialects_load_without_jax() -> None:
    code = (
        "import sys, pjc.dialects.proj, pjc.dialects.feas, pjc.dialects.net\nsys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=imports.ROOT).returncode == 0


# --- one home for each fact ---------------------------------------------------------------------------


def docstrings(tree: ast.AST) -> set[int]:
    """Return the string expressions that stand as statements: they say things, and do nothing."""
    bodies = (getattr(node, "body", None) for node in ast.walk(tree))
    lines = (line for body in bodies if isinstance(body, list) for line in body)
    return {id(line.value) for line in lines if isinstance(line, ast.Expr)}


def strings(module: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module that are no docstrings, with their lines."""
    tree = ast.parse(imports.modules()[module].read_text(encoding="utf-8"))
    said = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


ORDINARY_WORDS = ("sweep", "stream")
"""Names of solvers that sentences and names of ops have too: there a string that is nothing else counts."""


def test_solvers_are_named_in_their_file_alone() -> None:
    short = [name for name in SOLVERS if name not in ORDINARY_WORDS]
    named = re.compile(rf"\b({'|'.join(short)})\b|^({'|'.join(SOLVERS)})$")
    found = [
        (module, line, text)
        for module in imports.modules()
        if module != "pjc.passes.solvers"
        for line, text in strings(module)
        if named.search(text)
    ]
    assert found == []


NAMES = {op.name for op in ops.OP.operations}
OPERATORS = {ops.operator_of(op) for op in (*ops.OPERATIONS, *ops.LOSSES)}
EXCEPTIONS = {
    ("pjc.runtime.program", "apply"): "the entry point of that name, which is no operation",
}
"""Where a string that is an operation's name may be compared with, and why."""


def test_nothing_matches_on_the_name_of_an_operation() -> None:
    found = {
        (module, text)
        for module, path in imports.modules().items()
        for _, text in compared(path.read_text(encoding="utf-8"))
        if text in NAMES | OPERATORS
    }
    assert found == EXCEPTIONS.keys()


def test_a_name_that_is_matched_on_is_found() -> None:
    source = """
match op.name:
    case "op.dot":
        found = op.kind == "sum" or op.kind in ("max", "min")
"""
    assert {text for _, text in compared(source)} == {"op.dot", "sum", "max", "min"}
