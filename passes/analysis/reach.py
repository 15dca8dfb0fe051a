"""What the values of a problem depend on, and the order in which a sweep visits its operations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import networkx as nx
from xdsl.ir import Operation, SSAValue

from pjc.dialects import feas, ops

Group = list[Operation]
"""An operation, or those of a recurrence, in the order of the text."""


@dataclass
class Reach:
    """The dependences of a problem: what parameters move, what data give, what is each sample's own."""

    problem: feas.ProblemOp
    moved: set[SSAValue] = field(default_factory=set)
    """Values that depend on a parameter."""
    given: set[SSAValue] = field(default_factory=set)
    """Values that depend on data."""
    own: set[SSAValue] = field(default_factory=set)
    """Values that are each sample's own: those that data give, and those of which it reads its row alone."""
    _groups: list[Group] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        listed = list(self.problem.body.block.ops)
        place = {op: index for index, op in enumerate(listed)}
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(len(listed)))
        for op, index in place.items():
            for operand in op.operands:
                if isinstance(operand.owner, Operation):
                    graph.add_edge(place[operand.owner], index)
        cycles = nx.condensation(graph)
        for group in nx.lexicographical_topological_sort(
            cycles, key=lambda each: max(cycles.nodes[each]["members"])
        ):
            self._groups.append([listed[index] for index in sorted(cycles.nodes[group]["members"])])
        self.moved = self.after({*self.moved, *_results(listed, ops.ParameterOp)})
        self.given = self.after({*self.given, *_results(listed, ops.SourceOp)})
        self.own = self.after({*self.own, *self.given})

    def after(self, values: Iterable[SSAValue]) -> set[SSAValue]:
        """Return values, and all that depends on them."""
        found = set(values)
        for group in self._groups:
            made = {result for op in group for result in op.results}
            if found & made or any(operand in found for op in group for operand in op.operands):
                found |= made
        return found

    def outputs_first(self) -> list[Group]:
        """Return the operations, those of a recurrence together, readers before what they read."""
        return self._groups[::-1]

    def recurs(self, group: Sequence[Operation]) -> bool:
        """Whether the operations are a recurrence: a later step reads what an earlier one gave."""
        (first, *others) = group
        return bool(others) or any(operand.owner is first for operand in first.operands)

    def needed(self, op: Operation) -> list[int]:
        """Return the operands of an op that a parameter moves."""
        return [index for index, value in enumerate(op.operands) if value in self.moved]


def _results(listed: Iterable[Operation], kind: type) -> Iterable[SSAValue]:
    return (result for op in listed if isinstance(op, kind) for result in op.results)
