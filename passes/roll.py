"""Find equal layers, one after another, and make a loop of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import networkx as nx
import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import GreedyRewritePatternApplier, PatternRewriteWalker

from pjc.dialects import feas, net, ops, view
from pjc.dialects.loops import AtOp, ForOp, YieldOp
from pjc.dialects.ops import OperationOp, ParameterOp
from pjc.dialects.view import shape_of
from pjc.passes.fuse import opened_by
from pjc.passes.rewriting.stacked_views import FoldEntries, taken
from pjc.passes.unroll import UNROLLED

LEAST = 4
"""Fewer equal layers are left as they are."""


@dataclass(frozen=True)
class RollPass(ModulePass):
    """Find equal layers, one after another, and make a loop of them.

    Layers are equal if the same operations on the same shapes are wired alike: what a layer reads is its
    own, or from the layer before, or one value that all of them read. Of such a value they may take one entry
    of an axis, evenly farther on from layer to layer, as the steps of an unrolled recurrent network do. Their
    parameters may be declared anywhere, and keep their names, as members of one family. What inner layers
    give may be read behind them: the loop collects it, and what puts it side by side becomes one view of what
    is collected. Four layers are the least, and as many operations as the solver wants; a network that was
    unrolled is left so.

    For a solver of parts the split of the constraints stays what it was: where a layer's can only be in the
    parts that those of the layer before are not in, two layers are one step of the loop; where a sum becomes
    terms of another (``feas-fuse``) across layers, or of the last one alone, they are left as they are.

    ```
    %a = op.parameter "a" <1.0 * zeros> : tensor<3xf32>
    %x1 = op.sum_relu %x, %a axes [] : ...
    %b = op.parameter "b" <1.0 * zeros> : tensor<3xf32>
    %x2 = op.sum_relu %x1, %b axes [] : ...
    ...
    ```
    becomes
    ```
    %x4 = net.for "layer" 4 carries (%x) : (tensor<3xf32>) -> (tensor<3xf32>) collects () {
    ^body(%h : tensor<3xf32>):
      %a = op.parameter "a" <1.0 * zeros> members ["a", "b", "c", "d"] : tensor<3xf32>
      %n = op.sum_relu %h, %a axes [] : ...
      net.yield (%n) collect () : (tensor<3xf32>) collect ()
    }
    ```
    """

    name = "net-roll"

    by_parts: bool = True
    """Whether the solver has parts, whose constraints are to stay what they are without the loop.

    Sweeps have none: what they give is the same, whether a sum is one constraint with its reader or not.
    """
    least: int = 0
    """How many operations the layers must have together: fewer are soon compiled, and faster apart."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            if UNROLLED in network.attributes:
                continue
            while (found := self.best(_steps(network.body.block))) is not None:
                found.make_loop(network.body.block)
                applier = GreedyRewritePatternApplier([FoldEntries()], dce_enabled=True)
                PatternRewriteWalker(applier).rewrite_region(network.body)

    def best(self, ops: list[Operation]) -> _Layers | None:
        """Return the equal layers that hold the most ops; of those the shortest, which hand on the least."""
        kinds: dict[tuple[object, ...], int] = {}
        numbers = np.array([kinds.setdefault(_kind(op), len(kinds)) for op in ops])
        best: tuple[tuple[int, int, int], _Layers] | None = None
        for size in range(1, len(ops) // LEAST + 1):
            same = numbers[:-size] == numbers[size:]
            for start, length in _runs(same, (LEAST - 1) * size):
                for offset in range(min(size, length)):
                    count = (length - offset) // size + 1
                    covered = count * size
                    if count < LEAST or (best is not None and covered < best[0][0]):
                        continue
                    layers = self.layers(ops[start + offset : start + offset + covered], size)
                    if layers is None:
                        continue
                    rank = len(layers.ops), -size, -len({*layers.carried, *layers.collected()})
                    if best is None or rank > best[0]:
                        best = rank, layers
        return None if best is None else best[1]

    def layers(self, ops: Sequence[Operation], size: int) -> _Layers | None:
        """Return the layers of ops whose kinds come again every ``size``; None where they make no loop."""
        layers = _Layers(ops, size, len(ops) // size).unread()
        if layers.count < LEAST or not layers.are_equal() or not layers.recur():
            return None
        if sum(isinstance(op, OperationOp) for op in layers.ops) < self.least:
            return None
        if self.by_parts and not layers.fuse_alike():
            return None
        return layers.in_pairs() if self.by_parts and layers.alternate() else layers


@dataclass
class _Layers:
    """A run of ops that might be ``count`` equal layers of ``size`` ops each."""

    ops: Sequence[Operation]
    size: int
    count: int
    place: dict[Operation, int] = field(init=False)
    carried: dict[int, SSAValue] = field(default_factory=dict)
    """For each op whose result the next layer reads, what the first layer reads in its stead."""
    families: dict[ParameterOp, list[ParameterOp]] = field(default_factory=dict)
    """For each parameter of the second layer alone, what the layers read in its place."""

    def __post_init__(self) -> None:
        self.place = {op: index for index, op in enumerate(self.ops)}

    def are_equal(self) -> bool:
        """Whether the layers are wired alike; finds what they carry."""
        if not all(self.is_counted(at) for at in range(self.size)):
            return False
        for index, op in enumerate(self.ops[self.size :], self.size):
            first = self.ops[index % self.size]
            second = self.ops[index % self.size + self.size]
            for slot, operand in enumerate(op.operands):
                layer = index // self.size
                if isinstance(second.operands[slot].owner, ParameterOp):
                    continue
                expected = self.source(second.operands[slot], 1)
                if self.source(operand, layer) != expected:
                    return False
                if not self.starts_alike(expected, first.operands[slot]):
                    return False
        return all(self.reads_parameters_alike(at) for at in range(self.size))

    def reads_parameters_alike(self, at: int) -> bool:
        """Whether an op of all layers reads the same parameter, or one of each layer's own, of one kind."""
        several = self.ops[at :: self.size]
        for slot, operand in enumerate(several[1].operands):
            if not isinstance(operand.owner, ParameterOp):
                continue
            members = [op.operands[slot].owner for op in several]
            if all(each is operand.owner for each in members):
                continue
            if self.families.setdefault(operand.owner, members) != members:  # type: ignore[arg-type]
                return False
            if not all(self.is_own(each, layer) for layer, each in enumerate(members)):
                return False
            if len({_parameter_kind(each) for each in members}) > 1:  # type: ignore[arg-type]
                return False
        return True

    def is_own(self, op: Operation | Block, layer: int) -> bool:
        """Whether an op is a parameter that only one layer reads."""
        return isinstance(op, ParameterOp) and all(
            self.place.get(use.operation, -1) // self.size == layer for use in op.result.uses
        )

    def unread(self) -> _Layers:
        """Return the layers behind the last, but for the final one, whose parameters something else reads."""
        last = self.size * (self.count - 1)
        for index in reversed(range(last)):
            op, next_ = self.ops[index], self.ops[index + self.size]
            own = [
                operand
                for operand, other in zip(op.operands, next_.operands, strict=True)
                if isinstance(operand.owner, ParameterOp) and operand is not other
            ]
            if any(use.operation not in self.place for value in own for use in value.uses):
                skipped = index // self.size + 1
                return _Layers(self.ops[skipped * self.size :], self.size, self.count - skipped)
        return self

    def is_counted(self, at: int) -> bool:
        """Whether the layers take entries at a place that are evenly apart, and of what all of them read."""
        entries = [_entry(op) for op in self.ops[at :: self.size]]
        starts = [entry[1] for entry in entries if entry is not None]
        if not starts:
            return True
        steps = {second - first for first, second in pairwise(starts)}
        shared = self.ops[at].operands[0].owner not in self.place
        return steps == {0} or (shared and len(steps) == 1 and min(steps) > 0)

    def source(self, value: SSAValue, layer: int) -> object:
        """Return where a layer has a value from: (0, op) its own, (1, op) the one before, or the value."""
        owner = value.owner
        at = self.place.get(owner) if isinstance(owner, Operation) else None
        if at is None:
            return value
        return layer - at // self.size, at % self.size

    def starts_alike(self, source: object, operand: SSAValue) -> bool:
        """Whether the first layer's operand fits the source that the others have."""
        if not isinstance(source, tuple):
            return operand is source
        distance, at = source
        if distance == 0:
            return self.source(operand, 0) == source
        if distance != 1 or operand.owner in self.place:
            return False
        return self.carried.setdefault(at, operand) is operand

    def recur(self) -> bool:
        """Whether some value of a layer comes, from layer to layer, of the same one of the layer before."""
        wires: nx.DiGraph[int] = nx.DiGraph()
        for at, op in enumerate(self.ops[self.size : 2 * self.size]):
            sources = [self.source(operand, 1) for operand in op.operands]
            wires.add_edges_from((each[1], at) for each in sources if isinstance(each, tuple))
        return not nx.is_directed_acyclic_graph(wires)

    def fuse_alike(self) -> bool:
        """Whether sums become terms of others (``feas-fuse``) in all layers or none, and not across them."""
        for at in range(self.size):
            readers = [opened_by(op) for op in self.ops[at :: self.size]]
            places = [None if reader is None else self.place.get(reader, -1) for reader in readers]
            layers = [None if place is None else place // self.size for place in places]
            if layers not in ([None] * self.count, list(range(self.count))):
                return False
        return True

    def alternate(self) -> bool:
        """Whether no two layers after each other can have their constraints in the same parts."""
        return self.has_odd_cycle(1) and not self.has_odd_cycle(2)

    def has_odd_cycle(self, layers: int) -> bool:
        """Whether so many layers in a circle, which a step of a loop has, cannot be split into two parts."""
        graph: nx.Graph[object] = nx.Graph()

        def node(op: Operation) -> object:
            while (reader := opened_by(op)) is not None and reader in self.place:
                op = reader
            layer, at = divmod(self.place.get(op, -1), self.size)
            return op if layer < 0 else ((layer - 1) % layers, at)

        for op in self.ops[self.size : self.size * (1 + layers)]:
            if isinstance(op, OperationOp):
                sources = {each for operand in op.operands for each in feas.sources(operand)}
                edges = [each for each in sources if not isinstance(each, ops.GivenOp)]
                graph.add_edges_from((node(each), node(op)) for each in edges if opened_by(each) is not op)
        return not nx.is_bipartite(graph)

    def in_pairs(self) -> _Layers:
        """Return the layers two by two; of an odd number without the last."""
        count = self.count // 2
        pairs = _Layers(self.ops[: 2 * count * self.size], 2 * self.size, count)
        found = pairs.are_equal()
        assert found, "what layers are wired alike in, pairs of them are"
        return pairs

    def read_outside(self, op: Operation) -> bool:
        """Whether something outside of the layers reads what an op gives."""
        return any(use.operation not in self.place for use in op.results[0].uses)

    def collected(self) -> list[int]:
        """Return the ops of a layer whose results are read outside, but for what only the last hands on."""
        last = self.size * (self.count - 1)
        outside = [index for op, index in self.place.items() if self.read_outside(op)]
        found = {index % self.size for index in outside if index < last or index - last not in self.carried}
        return sorted(found)

    def make_loop(self, block: Block) -> None:
        """Replace the layers by a loop."""
        inits = list(self.carried.values())
        body = Block(arg_types=[value.type for value in inits])
        values: dict[SSAValue, SSAValue] = {}
        for argument, (at, init) in zip(body.args, self.carried.items(), strict=True):
            values[self.ops[at].results[0]] = argument
            argument.name_hint = init.name_hint
        inner = dict(self.first_layer(body, values))
        collected = self.collected()
        body.add_op(YieldOp([inner[at] for at in self.carried], [inner[at] for at in collected]))
        loop = ForOp("layer", self.count, inits, body)
        loop.location = self.ops[0].location
        # Parameters and the like may stand between the layers' ops: the loop reads them.
        block.insert_op_before(loop, self.ops[-1])
        for at, whole in zip(collected, loop.collected, strict=True):
            self.hand_out(block, at, whole)
        last = self.size * (self.count - 1)
        for at, final in zip(self.carried, loop.finals, strict=True):
            self.read_instead(self.ops[last + at].results[0], final)
        for op in (*reversed(self.ops), *(each for members in self.families.values() for each in members)):
            op.detach()
            op.erase()

    def hand_out(self, block: Block, at: int, whole: SSAValue) -> None:
        """Let what reads an op's results outside read them as entries of what the loop collects."""
        whole.name_hint = self.ops[at].results[0].name_hint
        for layer, op in enumerate(self.ops[at :: self.size]):
            if self.read_outside(op):
                (cut,) = taken(whole, layer, layer, 1)
                entry = view.ReshapeOp(cut.results[0], shape_of(op.results[0]))
                cut.location = entry.location = op.location
                block.insert_ops_before([cut, entry], self.ops[-1])
                self.read_instead(op.results[0], entry.result)

    def read_instead(self, old: SSAValue, new: SSAValue) -> None:
        """Let what is outside of the layers read a new value."""
        new.name_hint = old.name_hint
        old.replace_uses_with_if(new, lambda use: use.operation not in self.place)

    def first_layer(self, body: Block, carried: dict[SSAValue, SSAValue]) -> Iterator[tuple[int, SSAValue]]:
        """Put the second layer's ops into the body: what they read of the first is carried."""
        values = dict(carried)
        for at in range(self.size):
            op = self.ops[self.size + at]
            for operand in op.operands:
                members = self.families.get(operand.owner)  # type: ignore[call-overload]
                if members is not None and operand not in values:
                    body.add_op(family := _family(members))
                    values[operand] = family.result
            here, there = _entry(self.ops[at]), _entry(op)
            if here is not None and there is not None and here != there:
                entry = AtOp(op.operands[0], here[0], here[1], there[1] - here[1])
                entry.location = self.ops[at].location
                body.add_op(entry)
                new: Operation = view.ReshapeOp(entry.result, shape_of(op.results[0]))
            else:
                new = op.clone(value_mapper=values)
            new.location = self.ops[at].location
            new.results[0].name_hint = self.ops[at].results[0].name_hint
            body.add_op(new)
            values[op.results[0]] = new.results[0]
            yield at, new.results[0]


def _entry(op: Operation) -> tuple[int, int] | None:
    """Return the axis and the place of what an op takes: one entry of an axis, all of the others, or None."""
    if not isinstance(op, view.SliceOp):
        return None
    shape = shape_of(op.operand)
    lists = zip(op.starts.get_values(), op.limits.get_values(), op.strides.get_values(), shape, strict=True)
    cut = [
        (axis, start, limit, stride)
        for axis, (start, limit, stride, size) in enumerate(lists)
        if (start, limit, stride) != (0, size, 1)
    ]
    if len(cut) != 1 or cut[0][2:] != (cut[0][1] + 1, 1):
        return None
    return cut[0][:2]


def _family(members: Sequence[ParameterOp]) -> ParameterOp:
    """Return the parameter of a loop's body that stands for one of each layer."""
    names = [each.label.data for each in members]
    new = members[0].clone()
    new.label = StringAttr(f"{names[0]}..{names[-1]}")
    new.members = ArrayAttr([StringAttr(each) for each in names])
    new.location = members[0].location
    new.result.name_hint = members[0].result.name_hint
    return new


def _steps(block: Block) -> list[Operation]:
    """Return the ops that layers are made of, in order.

    Parameters and inputs are left out, which may be declared anywhere, and what is made of these alone for
    so many readers that all layers may be among them.
    """
    found: list[Operation] = []
    apart: set[Operation] = set()
    for op in block.ops:
        given = isinstance(op, ops.SourceOp | ParameterOp)
        if given or (_is_shared(op) and all(operand.owner in apart for operand in op.operands)):
            apart.add(op)
        else:
            found.append(op)
    return found


def _is_shared(op: Operation) -> bool:
    return not op.regions and len(op.results) == 1 and len(list(op.results[0].uses)) >= LEAST


def _parameter_kind(op: ParameterOp) -> tuple[object, ...]:
    """Return what must agree for parameters to be of one family."""
    kept = {name: value for name, value in op.properties.items() if name != "label"}
    return (tuple(sorted(kept.items(), key=lambda each: each[0])), op.result.type)


def _runs(same: np.ndarray, least: int) -> Iterator[tuple[int, int]]:
    """Yield the start and length of each run of true entries that is long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= least:
            yield int(start), int(end - start)


def _kind(op: Operation) -> tuple[object, ...]:
    """Return what must agree for two ops to be the same operation in two layers."""
    if isinstance(op, ForOp) or len(op.results) != 1 or isinstance(op, ops.SourceOp):
        return (op,)
    if (entry := _entry(op)) is not None:
        return (type(op), entry[0], op.operands[0].type)
    kept: dict[str, Attribute] = {name: value for name, value in op.properties.items() if name != "label"}
    shapes = tuple(operand.type for operand in op.operands)
    return (type(op), tuple(sorted(kept.items(), key=lambda each: each[0])), shapes, op.results[0].type)
