"""Which strings a source compares something with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache


@cache  # several tests ask this of the whole package
def compared(source: str) -> tuple[tuple[int, str], ...]:
    """Return the strings that a source compares something with, or matches on, each with its line."""
    return tuple(_compared(source))


def _compared(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            for each in ast.walk(part):
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.lineno, each.value
