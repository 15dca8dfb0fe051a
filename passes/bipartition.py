"""Split the nodes of a problem into two parts of independent nodes."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops
from pjc.passes.analysis.graph import node_graph, problems, set_parts, training_nodes

PARTS = ("A", "B")


@dataclass(frozen=True)
class BipartitionPass(ModulePass):
    """Split the nodes of a problem into two parts, A and B, so that no edge joins two nodes of a part.

    Losses are in part A. All nodes of a part are independent, so a solver projects them at once.
    A problem with an odd cycle is refused; ``feas-legalize-bipartite`` mends it. Where every node is in A or
    B already, they stay as they are, and must have the losses in A.

    ```
    %z = op.dot "z" %x, %w : ...             %z = op.dot "z" %x, %w part "B" : ...
    op.margin "loss" %z, %y in ... : ...  -> op.margin "loss" %z, %y in ... part "A" : ...
    ```
    """

    name = "feas-bipartition"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for problem in problems(op):
            nodes = training_nodes(problem)
            if nodes and all(node.part is not None and node.part.data in PARTS for node in nodes):
                _require_losses_first(problem, nodes)
                continue
            colors = two_coloring(node_graph(problem), nodes)
            part_of = {node: PARTS[colors[index]] for index, node in enumerate(nodes)}
            set_parts(problem, list(PARTS), part_of)


def _require_losses_first(problem: feas.ProblemOp, nodes: list[ops.NodeOp]) -> None:
    """Raise PassFailedException unless a problem that is split already has part A first, with the losses."""
    if problem.part_names() != PARTS:
        raise PassFailedException(f"the parts are {list(PARTS)}, found {list(problem.part_names())}")
    for node in nodes:
        if isinstance(node, ops.LossOp) and node.part is not None and node.part.data != PARTS[0]:
            raise PassFailedException(f"loss '{node.called}' is in part B, but losses are in part A")


def two_coloring(graph: nx.DiGraph[int], nodes: list[ops.NodeOp]) -> dict[int, int]:
    """Return 0 or 1 for each node, different along every edge, 0 for the losses.

    Raises PassFailedException if there is an odd cycle, or if losses disagree.
    """
    colors: dict[int, int] = {}
    undirected = graph.to_undirected()
    losses = [i for i, node in enumerate(nodes) if isinstance(node, ops.LossOp)]
    for start in [*losses, *range(len(nodes))]:
        if start in colors and start not in losses:
            continue
        colors.setdefault(start, 0)
        for near, far in nx.bfs_edges(undirected, start):
            colors.setdefault(far, 1 - colors[near])
    for near, far in graph.edges:
        if colors[near] == colors[far]:
            raise PassFailedException(
                f"'{nodes[near].called}' and '{nodes[far].called}' are joined by an edge but "
                "would be in one part: the problem has an odd cycle; run feas-legalize-bipartite first"
            )
    for loss in losses:
        if colors[loss] != 0:
            raise PassFailedException(
                f"loss '{nodes[loss].called}' would be in part B, but losses are in part A; "
                "run feas-legalize-bipartite first"
            )
    return colors
