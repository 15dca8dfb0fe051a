"""Make a problem bipartite by inserting identity constraints and cloning data."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from pjc.dialects import feas, ops
from pjc.dialects.view import ViewOp
from pjc.passes.analysis.graph import node_graph, problems, training_nodes


@dataclass(frozen=True)
class LegalizeBipartitePass(ModulePass):
    """Make a problem bipartite by inserting identity constraints and cloning data.

    Where the graph has an odd cycle, some node and a reader of it would be in one part. An identity
    constraint between the two, shared by all such readers of the node, mends that; a datum is cloned
    instead, which costs nothing. The fewest identities is a hard problem (it holds maximum cut), so
    the pass improves a first coloring by local search, and is exact on small problems.

    ```
    %h = op.sum_relu "h" %z axes [] : ...
    %s = op.sum "s" %h, %d axes [] : ...     // d reads h too: h, d, s is an odd cycle
    ```
    becomes
    ```
    %h = op.sum_relu "h" %z axes [] : ...
    %i = op.identity "h.identity" %h : ...
    %s = op.sum "s" %i, %d axes [] : ...
    ```
    """

    name = "feas-legalize-bipartite"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for problem in problems(op):
            _legalize(problem)


def _legalize(problem: feas.ProblemOp) -> None:
    nodes = training_nodes(problem)
    graph = node_graph(problem)
    without_sets = graph.copy()  # which, unlike a subgraph, keeps the order of the nodes
    without_sets.remove_nodes_from([i for i, node in enumerate(nodes) if isinstance(node, ops.SetOp)])
    colors = cheapest_coloring(
        without_sets,
        fixed={i for i, node in enumerate(nodes) if isinstance(node, ops.LossOp)},
        free={i for i, node in enumerate(nodes) if isinstance(node, ops.GivenOp)},
    )
    for i, node in enumerate(nodes):  # a set has one neighbour, whose part it leaves free
        if isinstance(node, ops.SetOp):
            colors[i] = 1 - colors[next(iter(graph.predecessors(i)))]
    color_of = {node: colors[i] for i, node in enumerate(nodes)}
    for node in nodes:
        clash = {
            reader
            for reader, _, _ in feas.readers(node)
            if reader in color_of and color_of[reader] == color_of[node]
        }
        if clash:
            _detach_readers(node, clash)


def cheapest_coloring(graph: nx.DiGraph[int], fixed: set[int], free: set[int]) -> dict[int, int]:
    """Return a color, 0 or 1, for each node, with few nodes that have a reader of their own color.

    ``fixed`` nodes have color 0; ``free`` nodes (data) cost nothing. Exact up to 12 nodes that can be
    chosen; beyond that a local optimum under single and edge-pair flips, from several starts.
    """
    colors: dict[int, int] = {}
    undirected = graph.to_undirected()
    for component in sorted(nx.connected_components(undirected), key=min):
        part = graph.subgraph(component)
        colors.update(_component_coloring(part, fixed & component, free & component))
    return colors


def _component_coloring(graph: nx.DiGraph[int], fixed: set[int], free: set[int]) -> dict[int, int]:
    search = _Search(graph, fixed, free)
    for start in search.starts():
        search.improve(start)
        if search.best_cost == 0:
            break
    if search.best_cost > 0 and len(search.movable) <= 12:
        search.enumerate()
    return search.best


class _Search:
    """Local search for a coloring that makes few nodes need an identity."""

    def __init__(self, graph: nx.DiGraph[int], fixed: set[int], free: set[int]) -> None:
        self.graph = graph
        self.fixed = fixed
        self.paid = sorted(set(graph) - free)
        self.movable = sorted(set(graph) - fixed - free)
        self.free = sorted(free)
        self.best: dict[int, int] = {}
        self.best_cost = len(graph) + 1

    def starts(self) -> list[dict[int, int]]:
        """Return breadth-first colorings from the losses and from a few other nodes."""
        undirected = self.graph.to_undirected()
        undirected.remove_nodes_from(self.free)
        roots = sorted(self.fixed) or self.movable[:1]
        others = self.movable[:: max(1, len(self.movable) // 8)]
        return [self._spread(undirected, [*roots, *others[i:], *others[:i]]) for i in range(8)]

    def _spread(self, undirected: nx.Graph[int], roots: list[int]) -> dict[int, int]:
        colors = dict.fromkeys(self.fixed, 0)
        for root in [*roots, *self.movable]:
            colors.setdefault(root, 0)
            for near, far in nx.bfs_edges(undirected, root):
                colors.setdefault(far, 1 - colors[near])
        return colors

    def cost_of(self, node: int, colors: dict[int, int]) -> int:
        color = colors[node]
        return any(colors[reader] == color for reader in self.graph.successors(node))

    def touched(self, flipped: tuple[int, ...]) -> set[int]:
        """Return the paid nodes whose cost a flip can change."""
        near = set(flipped)
        for node in flipped:
            near.update(self.graph.predecessors(node))
        return near.intersection(self.paid)

    def improve(self, colors: dict[int, int]) -> None:
        """Flip nodes, and pairs of neighbours, while that lowers the cost; keep the best coloring."""
        moves: list[tuple[int, ...]] = [(node,) for node in self.movable]
        moves += [edge for edge in self.graph.edges if set(edge) <= set(self.movable)]
        improved = True
        while improved:
            improved = False
            for move in moves:
                near = self.touched(move)
                before = sum(self.cost_of(node, colors) for node in near)
                self._flip(move, colors)
                if sum(self.cost_of(node, colors) for node in near) < before:
                    improved = True
                else:
                    self._flip(move, colors)
        self._keep(colors)

    def enumerate(self) -> None:
        """Try every coloring, in the order of a Gray code, one flip at a time."""
        colors = {node: 0 for node in self.graph if node not in self.free}
        self._keep(dict(colors))
        for step in range(1, 2 ** len(self.movable)):
            self._flip((self.movable[(step & -step).bit_length() - 1],), colors)
            self._keep(colors)

    @staticmethod
    def _flip(move: tuple[int, ...], colors: dict[int, int]) -> None:
        for node in move:
            colors[node] = 1 - colors[node]

    def _keep(self, colors: dict[int, int]) -> None:
        cost = sum(self.cost_of(node, colors) for node in self.paid)
        if cost < self.best_cost:
            self.best_cost = cost
            self.best = dict(colors)
            for node in self.free:
                readers = [colors[reader] for reader in self.graph.successors(node)]
                self.best[node] = 1 - readers[0] if readers else 1


def _detach_readers(node: ops.NodeOp, clash: set[ops.NodeOp]) -> None:
    """Let the clashing readers read a clone of a datum, or an identity of any other node."""
    stand_in: Operation
    if isinstance(node, ops.GivenOp):
        stand_in = node.clone()
    else:
        stand_in = ops.IdentityOp(node.results[0], f"{node.called}.identity")
        feas.put_in_loop(stand_in, feas.loop_of(node))
    stand_in.location = node.location
    stand_in.results[0].name_hint = node.results[0].name_hint
    block = node.parent_block()
    assert block is not None
    block.insert_op_after(stand_in, node)
    _reroute(node.results[0], stand_in.results[0], clash, stand_in)


def _reroute(old: SSAValue, new: SSAValue, clash: set[ops.NodeOp], keep: Operation) -> None:
    """Make the clashing readers of ``old`` read ``new``, copying the views between where shared.

    ``keep`` reads ``old`` and goes on doing so.
    """
    for op in dict.fromkeys(use.operation for use in old.uses):
        if op is keep:
            continue
        if isinstance(op, ViewOp):
            if not clash.isdisjoint(reader for reader, _, _ in feas.readers(op)):
                twin = op.clone()
                _substitute(twin, old, new)
                block = op.parent_block()
                assert block is not None
                block.insert_op_after(twin, op)
                _reroute(op.results[0], twin.results[0], clash, twin)
                if not list(op.results[0].uses):
                    op.detach()
                    op.erase()
        elif op in clash:
            _substitute(op, old, new)


def _substitute(op: Operation, old: SSAValue, new: SSAValue) -> None:
    op.operands = [new if operand is old else operand for operand in op.operands]
