"""``for t in 0..16 { ... }``: a body that is read once and repeated in the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xdsl.ir import Block as IrBlock
from xdsl.ir import SSAValue

from pjc.dialects.loops import ForOp, YieldOp
from pjc.frontends import ast
from pjc.frontends.expressions import Evaluator
from pjc.frontends.scope import Scope
from pjc.frontends.values import (
    POISON,
    Instance,
    LoopIndex,
    Mistake,
    Tensor,
    Value,
    describe,
    is_poisoned,
    tensors_in,
)

MAX_ITERATIONS = 2**20


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
        inits = [tensor.ssa for tensor in carried.values()]
        body = IrBlock(arg_types=[value.type for value in inits])
        for (name, tensor), argument in zip(carried.items(), body.args, strict=True):
            argument.name_hint = name
            scope.values[name] = Tensor(argument, tensor.names)
        above, self.emitter.block = self.emitter.block, body
        self.emitter.loops[body] = count
        scope.bind(node.name, LoopIndex(node.name.id, start, body, count))
        outer, scope.loop = scope.loop, body
        try:
            for statement in node.body:
                self.run(statement, scope)
        finally:
            scope.loop, self.emitter.block = outer, above
            del self.emitter.loops[body]
            del scope.values[node.name.id], scope.places[node.name.id]
        after = {name: self._carried_on(name, tensor, node, scope) for name, tensor in carried.items()}
        fresh = {name: value for name, value in scope.values.items() if name not in before}
        fine = not any(tensor is None for tensor in after.values())
        collected = [tensor.ssa for value in fresh.values() for tensor in tensors_in(value)]
        ends = [tensor.ssa if tensor else init for tensor, init in zip(after.values(), inits, strict=True)]
        body.add_op(YieldOp(ends, collected))
        loop = ForOp(scope.label(node.name.id), count, inits, body)
        self.emitter.add(loop, scope.label(node.name.id), node.span)
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
            self.evaluator.note(wrong, place, scope)
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


def drop_unread(block: IrBlock) -> None:
    """Let loops collect only what is read."""
    for op in list(block.ops):
        if isinstance(op, ForOp):
            drop_unread((_rebuilt(op) if any(not value.uses for value in op.collected) else op).body.block)


def _rebuilt(loop: ForOp) -> ForOp:
    """Replace a loop by one that collects what is read."""
    body, end = loop.body.block, loop.yield_op()
    read = [index for index, value in enumerate(loop.collected) if value.uses]
    kept = [end.collected[index] for index in read]
    place = end.location
    carried = list(end.carried)
    end.detach()
    end.erase()
    body.add_op(new_end := YieldOp(carried, kept))
    new_end.location = place
    loop.body.detach_block(body)
    new = ForOp(loop.label.data, loop.iterations, list(loop.inits), body)
    new.location = loop.location
    block = loop.parent_block()
    assert block is not None
    block.insert_op_before(new, loop)
    olds = [*loop.finals, *(loop.collected[index] for index in read)]
    for old, result in zip(olds, new.results, strict=True):
        result.name_hint = old.name_hint
        old.replace_all_uses_with(result)
    loop.detach()
    loop.erase()
    return new
