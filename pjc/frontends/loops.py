"""``for t in 0..16 { ... }``: a body that is read once and repeated in the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xdsl.ir import Block as IrBlock
from xdsl.ir import SSAValue

from pjc.builder.loops import MAX_ITERATIONS
from pjc.builder.values import LoopIndex, Tensor
from pjc.codes import LOOPS
from pjc.diagnostics import of_kind
from pjc.frontends import ast
from pjc.frontends.expressions import Evaluator
from pjc.frontends.scope import Scope
from pjc.frontends.values import (
    POISON,
    Instance,
    Mistake,
    Value,
    describe,
    is_poisoned,
    tensors_in,
)


class LoopReader:
    """Reads loops; ``run`` runs a statement of the body in a scope."""

    def __init__(self, evaluator: Evaluator, run: Callable[[ast.Node, Scope], None]) -> None:
        self.evaluator = evaluator
        self.emitter = evaluator.emitter
        self.run = run

    def read(self, node: ast.For, scope: Scope) -> None:
        """Put a loop into the network, and bind what it leaves: last and collected values."""
        start, count = self._range(node, scope)
        scope.claim(node.name, declares=True)
        before = dict(scope.values)
        carried = self._carried(node, scope)
        body = IrBlock(arg_types=[tensor.ssa.type for tensor in carried.values()])
        for (name, tensor), argument in zip(carried.items(), body.args, strict=True):
            argument.name_hint = name
            scope.values[name] = Tensor(argument, tensor.names)
        scope.bind(node.name, LoopIndex(node.name.id, start, body, count))
        outer, scope.loop = scope.loop, body
        try:
            with self.emitter.repeating(body, count):
                for statement in node.body:
                    self.run(statement, scope)
        finally:
            scope.loop = outer
            del scope.values[node.name.id], scope.places[node.name.id]
        after = {name: self._carried_on(name, tensor, node, scope) for name, tensor in carried.items()}
        fresh = {name: value for name, value in scope.values.items() if name not in before}
        fine = not any(tensor is None for tensor in after.values())
        collected = [tensor for value in fresh.values() for tensor in tensors_in(value)]
        before_loop = list(carried.values())
        ends = [tensor or init for tensor, init in zip(after.values(), before_loop, strict=True)]
        site = self.evaluator.site(node, scope)
        loop = site.repeat(node.name.id, body, count, before_loop, ends, collected)
        stacks = iter(loop.collected)
        for name, value in fresh.items():
            if isinstance(value, Instance):
                del scope.values[name], scope.places[name]  # its parameters are in the body
            else:
                scope.values[name] = _stacked(value, stacks) if fine else POISON
        for (name, tensor), final in zip(carried.items(), loop.finals, strict=True):
            scope.values[name] = Tensor(final, tensor.names) if fine else POISON

    def _range(self, node: ast.For, scope: Scope) -> tuple[int, int]:
        """Return the first value of the loop's name, and how many it takes."""
        ends = []
        for each in (node.start, node.stop):
            value = self.evaluator.evaluate(each, scope)
            if is_poisoned(value):
                value = 0 if each is node.start else 1
            if not isinstance(value, int):
                raise Mistake(f"a loop counts integers, found {describe(value)}", None, each.span)
            ends.append(value)
        start, stop = ends
        if start < 0:
            raise Mistake(f"a loop counts from 0 or more, found {start}", None, node.start.span)
        if not 1 <= stop - start <= MAX_ITERATIONS:
            raise Mistake(
                f"a loop has 1 to {MAX_ITERATIONS:,} iterations, found {start}..{stop}",
                "0..4 counts 0, 1, 2, 3",
                node.stop.span,
            )
        return start, stop - start

    def _carried(self, node: ast.For, scope: Scope) -> dict[str, Tensor]:
        """Return the tensors from above that the body binds again: it carries them on."""
        found = {}
        for target in _assigned(node.body):
            value = scope.values.get(target.id)
            if isinstance(value, Tensor):
                found[target.id] = value
            elif isinstance(value, int | float | tuple) and target.id not in scope.constants:
                raise Mistake(
                    f"a loop carries tensors from one iteration to the next, but '{target.id}' is "
                    f"{describe(value)}",
                    "choose another name",
                    target.span,
                )
        return found

    def _carried_on(self, name: str, before: Tensor, node: ast.For, scope: Scope) -> Tensor | None:
        """Return what an iteration makes of a carried tensor; None if that was complained of."""
        value = scope.values[name]
        if isinstance(value, Tensor) and value.shape == before.shape:
            return value
        if not is_poisoned(value):
            place = next(target for target in _assigned(node.body) if target.id == name)
            found = str(value) if isinstance(value, Tensor) else describe(value)
            wrong = Mistake(
                f"'{name}' is {before} before the loop and {found} after an iteration",
                "what a loop carries keeps its shape",
            )
            self.evaluator.note(of_kind(LOOPS, wrong), place, scope)
        return None


def _assigned(body: Sequence[ast.Node]) -> Iterable[ast.Name]:
    """Return the names that statements bind, those in loops among them too."""
    for node in body:
        if isinstance(node, ast.Assign):
            yield from node.targets
        elif isinstance(node, ast.For):
            yield from _assigned(node.body)


def _stacked(value: Value, stacks: Iterable[SSAValue]) -> Value:
    """Return the values of all iterations, along a new first axis, in place of those of one."""
    if isinstance(value, tuple):
        return tuple(_stacked(item, stacks) for item in value)
    if isinstance(value, Tensor):
        return Tensor(next(iter(stacks)), (None, *value.names))
    return value
