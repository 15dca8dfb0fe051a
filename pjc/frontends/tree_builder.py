"""Lark's parse tree to the syntax tree of ast.py."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from lark import Token, Tree
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive, v_args

from pjc.codes import NUMBERS
from pjc.diagnostics import Diagnostic, Span
from pjc.frontends import ast
from pjc.frontends.layout import span_of
from pjc.numerals import is_whole

MAX_DIGITS = 18
"""Longer integers are refused: sizes are 64-bit."""

Children = list[Any]


@v_args(meta=True)
class TreeBuilder(Transformer_NonRecursive[Token, ast.Node]):
    """One method per rule of the grammar; ``errors`` are the numbers that are out of range."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.name_of_file = file
        self.errors: list[Diagnostic] = []

    def _span(self, meta: Meta) -> Span:
        if meta.empty:
            return Span(self.name_of_file, 1, 1, 1, 1)
        return Span(self.name_of_file, meta.line, meta.column, meta.end_line, meta.end_column)

    def _name(self, token: Token) -> ast.Name:
        return ast.Name(span_of(token, self.name_of_file), str(token))

    # Expressions

    def number(self, meta: Meta, children: Children) -> ast.Node:
        return self._number(children[0], self._span(meta))

    def _number(self, token: Token, span: Span) -> ast.Number:
        text = str(token)
        whole = is_whole(text)
        if whole and len(text.lstrip("0")) > MAX_DIGITS:
            message = f"this number has {len(text)} digits, at most {MAX_DIGITS} are allowed"
            self.errors.append(Diagnostic(message, span, code=NUMBERS))
            return ast.Number(span, 1)
        if not whole and not math.isfinite(float(text)):
            self.errors.append(Diagnostic(f"the number {text[:40]} is not finite", span, code=NUMBERS))
            return ast.Number(span, 1.0)
        return ast.Number(span, int(text) if whole else float(text))

    def name(self, meta: Meta, children: Children) -> ast.Node:
        return self._name(children[0])

    def group(self, meta: Meta, children: Children) -> ast.Node:
        return children[0]  # type: ignore[no-any-return]

    def tuple(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Tuple(self._span(meta), tuple(children))

    list = tuple

    # The numbers in a tuple or a list, of one token: see layout.with_runs.

    def numbers(self, meta: Meta, children: Children) -> ast.Node:
        items, negative = [], None
        for token in children[0].tokens:
            if token.type == "MINUS":
                negative = token
            elif token.type == "NUMBER":
                number = self._number(token, span_of(token, self.name_of_file))
                if negative is not None:
                    start = span_of(negative, self.name_of_file)
                    span = replace(number.span, line=start.line, column=start.column)
                    number = ast.Number(span, -number.value)
                items.append(number)
                negative = None
        return ast.Tuple(self._span(meta), tuple(items))

    def negate(self, meta: Meta, children: Children) -> ast.Node:
        operand = children[0]
        if isinstance(operand, ast.Number):
            return ast.Number(self._span(meta), -operand.value)
        return ast.Negate(self._span(meta), operand)

    def chain(self, meta: Meta, children: Children) -> ast.Node:
        operators = tuple(str(each) for each in children[1::2])
        return ast.Chain(self._span(meta), operators, tuple(children[::2]))

    def call(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Call(self._span(meta), children[0], tuple(children[1:]))

    def argument(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Argument(self._span(meta), None, children[0])

    def keyword(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Argument(self._span(meta), str(children[0]), children[1])

    def index(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Index(self._span(meta), children[0], tuple(children[1:]))

    def bound(self, meta: Meta, children: Children) -> ast.Node | None:
        return children[0] if children else None

    def slice(self, meta: Meta, children: Children) -> ast.Node:
        start, stop, step = (*children, None)[:3]
        return ast.Slice(self._span(meta), start, stop, step)

    def ellipsis(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Ellipsis(self._span(meta))

    def attribute(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Attribute(self._span(meta), children[0], self._name(children[1]))

    # Statements

    def type(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Type(self._span(meta), self._name(children[0]), tuple(children[1:]))

    def use(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Use(self._span(meta), self._name(children[0]))

    def const(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Const(self._span(meta), self._name(children[0]), children[1])

    def input(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Input(self._span(meta), self._name(children[0]), children[1])

    def target(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Target(self._span(meta), self._name(children[0]), children[1])

    def param(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Param(self._span(meta), self._name(children[0]), children[1], children[2])

    def parameter(self, meta: Meta, children: Children) -> ast.Node:
        default = children[1] if len(children) > 1 else None
        return ast.Parameter(self._span(meta), self._name(children[0]), default)

    def parameters(self, meta: Meta, children: Children) -> Children:
        return children

    body = parameters

    def targets(self, meta: Meta, children: Children) -> Children:
        return [self._name(token) for token in children]

    def values(self, meta: Meta, children: Children) -> ast.Node:
        if len(children) == 1:
            return children[0]  # type: ignore[no-any-return]
        return ast.Tuple(self._span(meta), tuple(children))

    def assign(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Assign(self._span(meta), tuple(children[0]), children[1])

    def evaluate(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Evaluate(self._span(meta), children[0])

    def block(self, meta: Meta, children: Children) -> ast.Node:
        name, parameters, body = children
        span = self._span(meta)
        return ast.Def(span, self._name(name), tuple(parameters), tuple(body))

    def loop(self, meta: Meta, children: Children) -> ast.Node:
        name, start, stop, body = children
        return ast.For(self._span(meta), self._name(name), start, stop, tuple(body))

    def give(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Return(self._span(meta), children[0])

    def output(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Output(self._span(meta), None, children[0])

    def named_output(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Output(self._span(meta), self._name(children[0]), children[1])

    def require(self, meta: Meta, children: Children) -> ast.Node:
        return ast.Require(self._span(meta), children[0], children[1] if len(children) > 1 else None)


def build(tree: Tree[Token], file: str) -> tuple[tuple[ast.Node, ...], list[Diagnostic]]:
    """Return the statements of a file's parse tree, and what is wrong with its numbers."""
    builder = TreeBuilder(file)
    statements = [builder.transform(child) for child in tree.children]  # type: ignore[arg-type]
    return tuple(statements), builder.errors
