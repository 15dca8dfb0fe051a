"""What a traced update tells of each node, beside what it computes: numbers by measure and by node.

``MEASURES`` in :mod:`pjc.runtime.trace` says what each measure is. A number is an array without axes, or
``[iterations]`` for a node that stands for all iterations of a loop, where they can be told apart. All are
the same on all devices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import jax.numpy as jnp
from jax import Array, lax
from xdsl.ir import Operation, SSAValue

from pjc.dialects import asking as ask
from pjc.dialects import ops, proj
from pjc.dialects.projecting import NodeWork
from pjc.dialects.steps import Rows
from pjc.runtime.combination import Lazy, LazyState, added, combined
from pjc.runtime.emit.measures import Measures
from pjc.runtime.emit.values import static_fields
from pjc.runtime.emit.variables import Fixed, Variables
from pjc.runtime.emit.weighing import Weighing
from pjc.runtime.program import Tensors
from pjc.runtime.projections import operator
from pjc.runtime.projections.bilinear import BILINEAR
from pjc.runtime.projections.sums import in_blocks
from pjc.runtime.steps import bound
from pjc.runtime.views import owns_all, spread

Told = dict[str, dict[str, Array]]
"""Numbers by measure and by node."""


def nodes_of(program: proj.ProgramOp) -> dict[str, tuple[str, str]]:
    """Return what is told of: the operator and the part of each node, by its label; no part in sweeps."""
    parts = {node: name for name, part in program.part_ops().items() for node in nodes_in(part)}
    found = {
        op.node.data: _operator(op)
        for op in program.walk()
        if isinstance(op, NodeWork | proj.ProjectSetOp | ask.DemandInSetOp)
    }
    parameters = {op.label.data for op in program.walk() if isinstance(op, ops.ParameterOp)}
    named = {**dict.fromkeys(sorted(parameters), "parameter"), **found}
    return {node: (kind, parts.get(node, "")) for node, kind in named.items()}


def nodes_in(part: proj.PartOp) -> set[str]:
    """Return the nodes that a part projects onto."""
    kinds = proj.GatherOp | NodeWork | proj.ProjectSetOp
    return {op.node.data for op in part.body.block.ops if isinstance(op, kinds)}


def _operator(op: Operation) -> str:
    if isinstance(op, NodeWork):
        return op.operator.data
    assert isinstance(op, proj.ProjectSetOp | ask.DemandInSetOp)
    return op.kind.data


# --- sweeps -------------------------------------------------------------------------------------------


@dataclass
class SweepTelling:
    """Tells of the ops of a sweep as they run; ``inside`` a recurrence each op has one iteration."""

    program: proj.ProgramOp
    weighing: Weighing
    told: Told = field(default_factory=dict)
    inside: bool = False

    def within(self) -> SweepTelling:
        """Return what tells of one iteration of a recurrence."""
        return SweepTelling(self.program, self.weighing, inside=True)

    def put(self, measure: str, node: str, value: Array) -> None:
        """Take a number of a node."""
        self.told.setdefault(measure, {})[node] = value

    def put_all(self, told: Told) -> None:
        """Take what was told elsewhere."""
        for measure, numbers in told.items():
            self.told.setdefault(measure, {}).update(numbers)

    def take(self, op: Operation, values: Mapping[SSAValue, Array]) -> None:
        """Tell of an op that ran."""
        match op:
            case ask.DemandOp() | ask.DemandInSetOp():
                self.put("demand", op.node.data, self._size([values[op.result]], op.rows, 1))
            case ask.RespondOp():
                self.put("demand", op.node.data, self._size([values[op.demand]], op.rows, op.count))
                responses = [values[each] for each in op.responses]
                self.put("response", op.node.data, self._size(responses, op.rows, op.count))
                self._cross(op, values)
            case ask.MultipliersOp():
                rows, count = self._sites(op.node.data)
                self.put("demand", op.node.data, self._size([values[op.demand]], rows, count))
            case ask.BoundOp():
                self._bound(op, values)

    def _size(self, tensors: list[Array], rows: Rows | None, steps: int) -> Array:
        """Return the root mean square of tensors' entries, at each step, over the samples that count."""
        squares = [self.weighing.square(each, rows, steps) for each in tensors]
        entries = sum(self.weighing.entries(float(each.size), rows) for each in tensors)
        return jnp.sqrt(sum(squares[1:], squares[0]) * steps / jnp.maximum(entries, 1.0))

    def _sites(self, node: str) -> tuple[Rows | None, int]:
        """Return where the samples and steps of a product's value are."""
        for op in self.program.walk():
            if isinstance(op, ask.NormsOp) and op.node.data == node:
                return op.rows, 1 if self.inside else op.count
        raise AssertionError("what has multipliers has norms")

    def _bound(self, op: ask.BoundOp, values: Mapping[SSAValue, Array]) -> None:
        """Tell of what a product asks of a value, and whether the bound cut it."""
        node = _asker(op.asked)
        if node is None:
            return
        before = self._size([values[op.asked]], op.rows, op.count)
        after = self._size([values[op.result]], op.rows, op.count)
        scale = jnp.where(before > 0, after / jnp.where(before > 0, before, 1), 1)
        if "response" not in self.told or node not in self.told["response"]:
            self.put("response", node, before)
        self.put("scale", node, scale)
        self.put("capped", node, (scale < _CUT).astype(scale.dtype))

    def _cross(self, op: ask.RespondOp, values: Mapping[SSAValue, Array]) -> None:
        """Tell of a node that jumps: at which share of its sites the response leads beyond a jump."""
        made = operator(op.operator.data, **static_fields(op.fields.data))
        if made.bridged() == made:
            return
        inputs = [values[each] for each in op.inputs]
        moved = [each + values[by] for each, by in zip(inputs, op.responses, strict=True)]
        crossed = (made.forward(*inputs) != made.forward(*moved)).astype(inputs[0].dtype)
        if op.rows is not None and self.weighing.weights is not None:
            crossed = crossed * (self.weighing.of_rows(op.rows, crossed.shape) > 0)
        total = self.weighing.square(crossed, op.rows, op.count)
        entries = self.weighing.entries(float(crossed.size), op.rows)
        self.put("crossed", op.node.data, total * op.count / jnp.maximum(entries, 1.0))


_CUT = 1 - 1e-5
"""A bound cut a response whose size it multiplied with less than this: less is rounding."""


def _asker(asked: SSAValue) -> str | None:
    """Return the node whose response a tensor is made of; None where that is not one alone."""
    found: set[str] = set()
    waiting = [asked]
    while waiting:
        owner = waiting.pop().owner
        if isinstance(owner, ask.RespondOp | ask.RespondSharedOp):
            found.add(owner.node.data)
        elif isinstance(owner, ask.CollectOp | ask.AddOp | ask.OverSamplesOp):
            waiting += [each for each in owner.operands if isinstance(each.owner, Operation)]
    return found.pop() if len(found) == 1 else None


def told_of_parameters(program: proj.ProgramOp, params: Tensors, moved: Tensors) -> Told:
    """Return the sizes of parameters and of their displacements; of equal layers those of each."""
    families = {
        op.label.data for op in program.walk() if isinstance(op, ops.ParameterOp) and op.members is not None
    }
    return {
        measure: {name: _size(each, name in families) for name, each in tensors.items()}
        for measure, tensors in (("displacement", moved), ("parameter", params))
    }


def _size(value: Array, family: bool) -> Array:
    """Return the root mean square of a parameter; of those of equal layers ``[layers]``.

    A matrix is added up along its columns first, as for their norms, which a response for it is made of: XLA
    then has those once.
    """
    layers = value.shape[:1] if family else ()
    each = math.prod(value.shape[len(layers) :])
    squares = value * value
    if value.ndim - len(layers) > 1:
        squares = lax.optimization_barrier(jnp.sum(squares, axis=-2))
    squares = squares.reshape(*layers, math.prod(squares.shape[len(layers) :]))
    return jnp.sqrt(in_blocks(jnp.sum, squares) / max(each, 1))


# --- solvers that iterate -----------------------------------------------------------------------------


@dataclass
class PartTelling:
    """Tells of the parts of an iteration as a state is projected onto them."""

    variables: Variables
    measures: Measures
    told: Told = field(default_factory=dict)

    def put(self, measure: str, node: str, value: Array) -> None:
        """Take a number of a node."""
        self.told.setdefault(measure, {})[node] = value

    def projected(self, part: proj.PartOp, before: LazyState, after: LazyState) -> None:
        """Tell how far a part moved the copies that each of its nodes holds."""
        nodes = nodes_in(part)
        moves: dict[str, Lazy] = {
            name: combined((1, -1), (after[name], before[name]))
            for name in after
            if self.variables.node(name) in nodes
        }
        found = self.measures.node_gaps(self.measures.square_gaps(moves))
        for node in nodes & found.keys():
            self.put("moved", node, found[node])

    def gathered(self, op: proj.GatherOp, state: LazyState, fixed: Fixed, mean: Array) -> None:
        """Tell how far the copies of a value are from what they agree on."""
        placement = self.variables.placement
        total, count = jnp.zeros((), mean.dtype), jnp.zeros((), mean.dtype)
        for path in op.paths:
            name = path.variable.data
            steps = bound(path.way(), fixed.data)
            copies = added(state[name])
            mine = jnp.ones_like(copies)
            if not owns_all(steps):
                mine = (spread(jnp.ones_like(mean), steps) > 0).astype(mean.dtype)
            apart = (copies - spread(mean, steps)) * mine
            cut = placement.pieces(self.variables.by_name[name].sharding) > 1
            for_all = (lambda each: placement.total(None, each)) if cut else (lambda each: each)
            total, count = total + for_all(jnp.sum(apart * apart)), count + for_all(jnp.sum(mine))
        if op.paths:
            self.put("spread", op.node.data, jnp.sqrt(total / jnp.maximum(count, 1)))

    def worked(self, op: Operation, values: Mapping[SSAValue, Array]) -> None:
        """Tell the largest |t| of a product: its value moves by t."""
        if not isinstance(op, proj.ProjectOp | proj.ProjectSharedOp | proj.ProjectHalfwayOp):
            return
        if op.operator.data in BILINEAR:
            t = jnp.max(jnp.abs(values[op.value] - values[op.new_value]))
            self.put("t", op.node.data, self.variables.placement.largest({"t": t})["t"])


def flattened(told: Told) -> tuple[list[tuple[str, str]], list[Array]]:
    """Return (measure, node) and the number of each, in one order."""
    keys = [(measure, node) for measure, numbers in told.items() for node in numbers]
    return keys, [told[measure][node] for measure, node in keys]


def rebuilt(keys: Iterable[tuple[str, str]], numbers: Iterable[Array]) -> Told:
    """Return what :func:`flattened` took apart."""
    found: Told = {}
    for (measure, node), value in zip(keys, numbers, strict=True):
        found.setdefault(measure, {})[node] = value
    return found
