"""The import graph of the package, read from its source; lazy imports and those for type checkers count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).parent.parent
FOLDERS = {"pjc": "pjc", "dialects": "pjc.dialects", "passes": "pjc.passes", "runtime": "pjc.runtime"}
"""Each folder at the top, and the package that it is."""


@cache
def modules() -> dict[str, Path]:
    """Return the files of the package by the names of their modules."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


@cache
def graph() -> nx.DiGraph[str]:
    """Return an edge from each module to every module of the package that it imports, wherever it does."""
    made: nx.DiGraph[str] = nx.DiGraph()
    made.add_nodes_from(modules())
    for name in modules():
        made.add_edges_from((name, other) for other in imported(name) if other in modules())
    return made


@cache
def imported(name: str) -> frozenset[str]:
    """Return all that a module imports: modules of the package by name, others by their first name."""
    path = modules()[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for each in node.names:
                found.add(each.name if each.name in modules() else each.name.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            found.update(_from(node, package))
    return frozenset(found)


def _from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    """Yield what a ``from .. import ..`` imports."""
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([base] if base else [])])
    for each in node.names:
        inner = f"{base}.{each.name}"
        if inner in modules():
            yield inner
        elif base in modules():
            yield base
        else:
            yield base.partition(".")[0]


BASE = (
    "pjc.codes",
    *("pjc.diagnostics", "pjc.fields", "pjc.interrupts", "pjc.numerals", "pjc.python_files", "pjc.reading"),
    "pjc.standins",
)
"""The modules that everything may import: they import nothing of the package but each other."""


def room(module: str) -> str:
    """Return the room that a module is in: its folder, as ``runtime/data``, or the base.

    Folders further in are of that room, those of passes too; the command line's entry is with the commands.
    """
    if module in BASE:
        return "base"
    if module == "pjc.cli":
        return "pjc/commands"
    package = module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]
    first, *inner = package.split(".")[1:] or ["pjc"]
    if first not in FOLDERS:
        return f"pjc/{first}"
    return "/".join([first, *inner[:1]]) if first == "runtime" else first
