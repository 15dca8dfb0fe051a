"""The syntax tree to a net.network: runs the statements, and the bodies of blocks for each call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block as IrBlock
from xdsl.ir import SSAValue

from pjc.builder import Site
from pjc.builder.emitter import TooManyOperations, set_hint
from pjc.builder.values import Target, Tensor
from pjc.codes import BLOCKS, OUTPUTS, VALUES
from pjc.diagnostics import Diagnostic, DiagnosticError, Span, of_kind
from pjc.dialects import ops
from pjc.dialects.loops import loops_around
from pjc.dialects.shapes import ShapeError
from pjc.frontends import ast
from pjc.frontends.binding import bind
from pjc.frontends.declarations import Declarations
from pjc.frontends.expressions import Evaluator
from pjc.frontends.libraries import Libraries
from pjc.frontends.loading import LibraryLoader
from pjc.frontends.loops import LoopReader
from pjc.frontends.losses import LOSSES
from pjc.frontends.names import advice
from pjc.frontends.report import Report
from pjc.frontends.scope import Scope
from pjc.frontends.sets import SETS, takes_sets
from pjc.frontends.values import (
    POISON,
    Block,
    Given,
    Init,
    InitName,
    Instance,
    LossName,
    Mistake,
    Poison,
    Slot,
    Value,
    describe,
    is_poisoned,
)


def elaborate(
    tree: ast.File,
    *,
    name: str,
    defines: Mapping[str, int | float] | None = None,
    batch: int | None = None,
    dtype: str = "f32",
    libraries: Libraries | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Elaborated:
    """Return the file's network, or raise with all the mistakes of the file.

    ``defines`` gives values to constants and free dimensions; ``batch`` to the one named batch;
    ``libraries`` says where ``use`` looks, by default among pjc's own libraries; ``parameters`` are arrays
    that the file's own parameters start from, by their names in it.
    """
    given = dict(defines or {})
    if batch is not None and given.setdefault("batch", batch) != batch:
        message = f"batch is given twice, as {given['batch']} and as {batch}"
        raise DiagnosticError([Diagnostic(message)])
    elaborator = Elaborator(tree, given, dtype, batch is not None, libraries or Libraries())
    elaborator.parameters = parameters or {}
    return elaborator.run(name)


@dataclass(frozen=True)
class Elaborated:
    """A network, and what those of its parameters start from that came with a file, by label."""

    module: ModuleOp
    initial: Mapping[str, Any]


class Elaborator:
    """Runs the statements of one file, and of the libraries that it uses."""

    def __init__(
        self,
        tree: ast.File,
        defines: Mapping[str, int | float],
        dtype: str,
        has_batch: bool,
        libraries: Libraries,
    ) -> None:
        self.tree = tree
        self.report = Report(tree.span.file, tree.source)
        self.evaluator = Evaluator(tree, self.report, self._call_block)
        self.file = self.evaluator.file
        self.declarations = Declarations(self.evaluator, defines, dtype, has_batch)
        self.loops = LoopReader(self.evaluator, self._statement)
        self.outputs: dict[str, Span] = {}
        self.blocks: list[Block] = []
        self.loader = LibraryLoader(self.evaluator, libraries, self.define, self.blocks)
        self.called: set[Block] = set()
        self.hinted: set[SSAValue] = set()
        self.parameters: Mapping[str, Any] = {}
        """What parameters of the file itself start from, by name."""

    def run(self, name: str) -> Elaborated:
        """Return the network, or raise with all the mistakes."""
        try:
            for statement in self.tree.statements:
                self._statement(statement, self.file)
            self._check_uncalled()
        except TooManyOperations as error:
            (limit,) = error.diagnostics
            self.report.give_up(limit.message, limit.span, limit.hint, limit.code)
        self.declarations.check_defines()
        if not self.outputs:
            end = self.tree.span
            place = Span(end.file, end.end_line, end.end_column, end.end_line, end.end_column + 1)
            self.report.add("the file has no output", place, "end it with 'output NAME'", OUTPUTS)
        self.report.finish()
        module = self.evaluator.emitter.module(name)
        return Elaborated(module, self._initial(module))

    def _initial(self, module: ModuleOp) -> dict[str, Any]:
        """Return what parameters start from that the file, or a library that it uses, comes with.

        A loop's parameter, which is one of the file's in every iteration, starts from the same in each.
        """
        given = {**self.loader.parameters(), self.tree.span.file: self.parameters}
        found: dict[str, Any] = {}
        for op in module.walk() if any(given.values()) else ():
            if not isinstance(op, ops.ParameterOp):
                continue
            label = op.label.data
            array = given.get(self.declarations.labels[label].file, {}).get(label.rpartition(".")[2])
            if array is not None:
                counts = [loop.iterations for loop in loops_around(op)]
                if op.family is not None:
                    counts.append(op.family.value.data)
                family = (prod(counts),) if counts else ()
                found[label] = np.broadcast_to(array, (*family, *array.shape))
        return found

    def _statement(self, node: ast.Node, scope: Scope) -> None:
        """Run a statement; note its mistakes."""
        try:
            self._check_place(node, scope)
            match node:
                case ast.Use():
                    self.loader.use(node, self.file)
                case ast.Const():
                    self.declarations.const(node)
                case ast.Input():
                    self.declarations.input(node)
                case ast.Target():
                    self.declarations.target(node)
                case ast.Param():
                    self.declarations.param(node, scope)
                case ast.Def():
                    self.blocks.append(self.define(node, self.file))
                case ast.For():
                    self.loops.read(node, scope)
                case ast.Assign():
                    self._assign(node, scope)
                case ast.Output():
                    self._output(node)
                case ast.Require():
                    self._require_in_set(node, scope) if node.within is not None else self._require(node)
                case ast.Return():
                    raise Mistake("'return' belongs in a block", "a file has outputs")
                case ast.Evaluate():
                    self._evaluate(node, scope)
        except (Mistake, ShapeError) as error:
            self.evaluator.note(error, node, scope)

    def _check_place(self, node: ast.Node, scope: Scope) -> None:
        """Raise if the statement does not belong into a block, or into a loop."""
        word = type(node).__name__.lower()
        inner = ast.Assign | ast.Param | ast.Evaluate
        if isinstance(node, ast.Require) and node.within is not None:
            return
        if scope.loop is not None and not isinstance(node, inner | ast.For):
            raise Mistake(f"'{word}' belongs outside of loops")
        if scope is not self.file and not isinstance(node, inner | ast.For):
            raise Mistake(f"'{word}' belongs outside of blocks")

    # Blocks

    def define(self, node: ast.Def, file: Scope) -> Block:
        """Return the block that a ``def`` declares, bound in the scope of its file."""
        name = node.name.id
        file.claim(node.name, declares=True, block=True)
        visible = file.for_blocks()
        constants = file.constants & set(visible)
        inner = Scope(visible=visible, constants=constants)
        defaults: dict[str, Value] = {}
        for each in node.parameters:
            try:
                self.declarations.declare(each.name, inner)
            except Mistake as error:
                self.evaluator.note(error, each, file)
            if each.default is not None:
                defaults[each.name.id] = self.evaluator.evaluate(each.default, file)
            elif defaults:
                wrong = Mistake(f"'{each.name.id}' needs a default, like those before it")
                self.evaluator.note(of_kind(BLOCKS, wrong), each, file)
        returns = [each for each in node.body if isinstance(each, ast.Return)]
        if not returns:
            self.report.add(f"the block '{name}' returns nothing", node.name.span,
                            "end it with 'return VALUE'", BLOCKS)  # fmt: skip
        elif node.body[-1] is not returns[0]:
            after = node.body[node.body.index(returns[0]) + 1]
            self.report.add("this is never reached; 'return' ends the block", after.span, None, BLOCKS)
        block = Block(node, visible, defaults, frozenset(constants))
        file.bind(node.name, block)
        return block

    def _call_block(
        self, target: Block | Instance, given: Sequence[Given], span: Span, scope: Scope
    ) -> Value:
        """Run the body of a block on the arguments of a call."""
        block = target.block if isinstance(target, Instance) else target
        slots = [Slot(each.name.id, each.default is None) for each in block.tree.parameters]
        who = target.path if isinstance(target, Instance) else block.tree.name.id
        found = bind(who, slots, given, span, self.report)
        if found is None:
            return POISON
        values = {name: each[0].value for name, each in found.items()}
        shared, home, depth, own = scope.shared, scope.home, scope.depth, scope.own
        if isinstance(target, Instance):
            path, shared, home = target.path, target.params, home or target.home
            depth, own = len(self.evaluator.emitter.loops), target.own
        else:
            path = scope.next_call(block.tree.name.id)
        trace = f"in {path}, called in line {span.line}"
        if span.file != block.tree.span.file:
            trace += f" of {span.file}"
        if scope.trace and span.file != self.tree.span.file:
            trace += f"; {scope.trace}"
        inner = Scope(path, shared=shared, trace=trace, called=span, home=home, depth=depth, own=own)
        return self._run_block(block, values, inner)

    def _run_block(self, block: Block, values: Mapping[str, Value], inner: Scope) -> Value:
        self.called.add(block)
        inner.block = block
        inner.visible = block.visible
        inner.constants = set(block.constants)
        for parameter in block.tree.parameters:
            name = parameter.name.id
            inner.bind(parameter.name, values.get(name, block.defaults.get(name, POISON)))
        for statement in block.tree.body:
            if isinstance(statement, ast.Return):
                return self._bindable(statement.value, inner)
            self._statement(statement, inner)
        return POISON

    def _check_uncalled(self) -> None:
        """Run blocks that nothing calls on poison, for the mistakes that any call would show."""
        emitter, declarations = self.evaluator.emitter, self.declarations
        labels = declarations.labels
        for block in self.blocks:
            if block not in self.called:
                declarations.labels = {}
                with emitter.aside():
                    self._run_block(block, {}, Scope(block.tree.name.id))
        declarations.labels = labels

    # Values, outputs and requirements

    def _bindable(self, node: ast.Node, scope: Scope) -> Value:
        """Return a value that a name can stand for."""
        value = self.evaluator.evaluate(node, scope)
        if isinstance(value, Target | LossName) or not isinstance(
            value, int | float | tuple | Tensor | Init | InitName | Block | Instance | Poison
        ):
            wrong = Mistake(f"{describe(value)} is no value of its own")
            return self.evaluator.note(of_kind(VALUES, wrong), node, scope)
        return value

    def _assign(self, node: ast.Assign, scope: Scope) -> None:
        value = self._bindable(node.value, scope)
        values: Sequence[Value] = [value]
        if len(node.targets) > 1:
            count = len(node.targets)
            if is_poisoned(value) and not isinstance(value, tuple):
                values = [POISON] * count
            elif not isinstance(value, tuple) or len(value) != count:
                wrong = Mistake(f"{count} names need a tuple of {count}, found {describe(value)}")
                self.evaluator.note(of_kind(VALUES, wrong), node.value, scope)
                values = [POISON] * count
            else:
                values = value
        for target, each in zip(node.targets, values, strict=True):
            try:
                scope.claim(target, declares=False)
                self._name_value(target, each, scope)
            except Mistake as error:
                self.evaluator.note(error, target, scope)

    def _name_value(self, target: ast.Name, value: Value, scope: Scope) -> None:
        """Bind a name; a block becomes an instance, a tensor takes the name in dumps."""
        if isinstance(value, Block):
            path = scope.label(target.id)
            shared = {} if scope.shared is None else scope.shared
            emitter = self.evaluator.emitter
            own = () if scope.home is None else (*scope.own, *list(emitter.loops)[scope.depth :])
            value = Instance(value, path, shared, scope.home or emitter.block, own)
        elif isinstance(value, Tensor):
            self._hint(value, scope.label(target.id))
        scope.bind(target, value)

    def _hint(self, value: Tensor, label: str) -> None:
        """Name a tensor after the first variable that holds it."""
        owner = value.ssa.owner
        if not isinstance(owner, IrBlock | ops.SourceOp | ops.ParameterOp) and value.ssa not in self.hinted:
            self.hinted.add(value.ssa)
            set_hint(value.ssa, label)

    def _evaluate(self, node: ast.Evaluate, scope: Scope) -> None:
        if isinstance(node.value, ast.Call) and isinstance(node.value.function, ast.Name):
            name = node.value.function.id
            if isinstance(scope.find(name), LossName):
                raise Mistake(f"'{name}' is a loss and has no value", f"write 'require {name}(...)'")
        if not is_poisoned(self.evaluator.evaluate(node.value, scope)):
            raise Mistake("nothing uses the value of this expression", "write 'name = ...'")

    def _output(self, node: ast.Output) -> None:
        name = node.name
        if name is None:
            if not isinstance(node.value, ast.Name):
                self.outputs.setdefault("", node.span)
                raise Mistake("an output needs a name", "write 'output name = ...'", node.value.span)
            name = node.value
        first = self.outputs.setdefault(name.id, name.span)
        value = self.evaluator.evaluate(node.value, self.file)
        if node.name is not None:
            self.file.claim(node.name, declares=False)
            self.file.bind(node.name, value if isinstance(value, Tensor) else POISON)
        if is_poisoned(value):
            return
        if not isinstance(value, Tensor):
            raise Mistake(f"an output must be a tensor, found {describe(value)}", None,
                          node.value.span)  # fmt: skip
        if first is not name.span:
            raise Mistake(f"a second output '{name.id}'; the first is in line {first.line}",
                          "write 'output other_name = ...'", name.span)  # fmt: skip
        if node.name is not None:
            self._hint(value, name.id)
        self.evaluator.site(node, self.file).output(name.id, value)

    def _require(self, node: ast.Require) -> None:
        loss = node.loss
        function = loss.function if isinstance(loss, ast.Call) else loss
        known = " or ".join(LOSSES)
        if not isinstance(function, ast.Name):
            raise Mistake(f"require takes a loss: {known}; or a value in a set",
                          "like cross_entropy(logits, y), or w in box(-1, 1)",
                          function.span)  # fmt: skip
        if function.id not in LOSSES:
            hint = advice(function.id, LOSSES) or f"known losses are {', '.join(LOSSES)}"
            raise Mistake(f"unknown loss '{function.id}'", hint, function.span)
        if not isinstance(loss, ast.Call):
            raise Mistake(f"the loss {function.id} needs its arguments",
                          f"write {function.id}(logits, target)", function.span)  # fmt: skip
        given = self.evaluator.given(loss, self.file)
        site = self.evaluator.site(node, self.file)
        self.evaluator.call_function(LOSSES[function.id], loss, given, site)

    def _require_in_set(self, node: ast.Require, scope: Scope) -> None:
        """Require a value to be in a set."""
        value = self.evaluator.evaluate(node.loss, scope)
        site = self.evaluator.site(node, scope)
        found = self._set(node.within, scope, site)
        if is_poisoned(value) or found is None:
            return
        if not isinstance(value, Tensor):
            raise Mistake(f"a set holds tensors, found {describe(value)}", span=node.loss.span)
        site.require_set(value, *found, self._named_value(node.loss, scope))

    def _set(self, within: ast.Node | None, scope: Scope, site: Site) -> tuple[str, dict[str, Any]] | None:
        """Return the name of a set and its arguments, by name; None if they were complained about."""
        function = within.function if isinstance(within, ast.Call) else within
        if not isinstance(function, ast.Name) or function.id not in SETS:
            name = function.id if isinstance(function, ast.Name) else ""
            hint = advice(name, SETS) or f"known sets are {', '.join(SETS)}"
            found = f"unknown set '{name}'" if name else "'in' takes a set"
            raise Mistake(found, hint, None if function is None else function.span)
        call = within if isinstance(within, ast.Call) else ast.Call(function.span, function, ())
        if takes_sets(function.id):
            named = next((each for each in call.arguments if each.name is not None), None)
            if named is not None:
                raise Mistake(f"{function.id} takes sets, without names", span=named.span)
            inner = [self._set(each.value, scope, site) for each in call.arguments]
            fine = [each for each in inner if each is not None]
            return (function.id, {"sets": fine}) if len(fine) == len(inner) else None
        given = self.evaluator.given(call, scope)
        described: object = self.evaluator.call_function(SETS[function.id], call, given, site)
        return (function.id, described) if isinstance(described, dict) else None

    @staticmethod
    def _named_value(node: ast.Node, scope: Scope) -> str:
        """Return what a required value is called in labels: its name in its block, if it has one."""
        name = node.id if isinstance(node, ast.Name) else "value"
        return f"{scope.path}.{name}" if scope.path else name
