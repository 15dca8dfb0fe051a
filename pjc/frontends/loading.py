"""``use nn``: parses a library and binds its blocks and constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pjc.diagnostics import DiagnosticError, of_kind
from pjc.dialects.shapes import ShapeError
from pjc.frontends import ast
from pjc.frontends.expressions import Evaluator
from pjc.frontends.libraries import Libraries, LibrarySource
from pjc.frontends.names import nearest
from pjc.frontends.pjn import parse
from pjc.frontends.scope import Scope
from pjc.frontends.values import POISON, Block, Library, Mistake, describe, is_poisoned

Define: TypeAlias = Callable[[ast.Def, Scope], Block]
"""Returns the block that a ``def`` declares, bound in the scope of its file."""


class LibraryLoader:
    """Loads each library once; ``open`` are those whose statements are being run, outermost first.

    Blocks of libraries that do not come with pjc are added to ``blocks``, to be checked as those of the file.
    """

    def __init__(
        self, evaluator: Evaluator, libraries: Libraries, define: Define, blocks: list[Block]
    ) -> None:
        self.evaluator = evaluator
        self.report = evaluator.report
        self.libraries = libraries
        self.define = define
        self.blocks = blocks
        self.loaded: dict[str, Library | None] = {}
        self.open: list[tuple[str, LibrarySource]] = []

    def parameters(self) -> dict[str, Mapping[str, Any]]:
        """Return what parameters start from that libraries came with: by file, and by name in it."""
        return {source.file: source.parameters for source in self.libraries.found.values()}

    def use(self, node: ast.Use, scope: Scope) -> None:
        """Bind the library's name in the scope of the file that uses it; raise Mistake if that fails."""
        name = node.name.id
        scope.claim(node.name, declares=True)
        scope.bind(node.name, POISON)
        opened = [each for each, _ in self.open]
        if name in opened:
            way = " uses ".join([*opened[opened.index(name) :], name])
            raise Mistake(f"libraries cannot use each other in a circle: {way}", span=node.name.span)
        if name not in self.loaded:
            source = self._find(node.name)
            self.loaded[name] = None
            self.loaded[name] = self._load(name, source)
        library = self.loaded[name]
        if library is not None:
            scope.bind(node.name, library)

    def _find(self, name: ast.Name) -> LibrarySource:
        inside_standard = bool(self.open) and self.open[-1][1].standard
        try:
            source = self.libraries.find(name.id, standard_only=inside_standard)
        except DiagnosticError as error:
            first, *more = error.diagnostics
            for each in more:  # every node of an ONNX model that is not supported
                self.report.add(each.message, None, each.hint, each.code)
            raise of_kind(first.code, Mistake(first.message, first.hint, name.span)) from None
        if source is None:
            beside = (
                ""
                if self.libraries.folder is None
                else f", or {name.id}.pjn or {name.id}.onnx beside the file"
            )
            hint = nearest(name.id, self.libraries.names()) or f"expected one of pjc's own{beside}"
            raise Mistake(f"there is no library '{name.id}'", hint, name.span)
        if source.file in self.evaluator.homes:
            raise Mistake(f"the file uses itself as the library '{name.id}'", span=name.span)
        return source

    def _load(self, name: str, source: LibrarySource) -> Library | None:
        """Run the statements of a library; None if its text cannot be parsed, which is noted."""
        report, evaluator = self.report, self.evaluator
        report.sources[source.file] = source.text
        try:
            tree = parse(source.text, source.file)
        except DiagnosticError as error:
            report.sources |= error.sources
            for each in error.diagnostics:
                report.add(each.message, each.span, each.hint, each.code)
            return None
        report.sources[source.file] = tree.source
        scope = Scope()
        evaluator.homes[source.file] = tree, scope
        self.open.append((name, source))
        for statement in tree.statements:
            try:
                self._statement(statement, scope, source)
            except (Mistake, ShapeError) as error:
                evaluator.note(error, statement, scope)
        self.open.pop()
        own = {key: value for key, value in scope.values.items() if not isinstance(value, Library)}
        return Library(name, own)

    def _statement(self, node: ast.Node, scope: Scope, source: LibrarySource) -> None:
        match node:
            case ast.Use():
                self.use(node, scope)
            case ast.Def():
                block = self.define(node, scope)
                if not source.standard:
                    self.blocks.append(block)
            case ast.Const():
                self._const(node, scope)
            case _:
                raise Mistake("a library holds blocks, constants and other libraries", "put this in a block")

    def _const(self, node: ast.Const, scope: Scope) -> None:
        """``const NAME = value``; the command line replaces only constants of the file itself."""
        scope.claim(node.name, declares=True)
        value = self.evaluator.evaluate(node.value, scope)
        scope.bind(node.name, value)
        scope.constants.add(node.name.id)
        if not isinstance(value, int | float) and not is_poisoned(value):
            scope.bind(node.name, POISON)
            raise Mistake(f"a const must be a number, found {describe(value)}", span=node.value.span)
