"""Sort the nodes of a problem into levels, for the cyclic solvers."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import ops
from pjc.numerals import is_whole
from pjc.passes.analysis.graph import node_graph, problems, set_parts, training_nodes


@dataclass(frozen=True)
class LevelsPass(ModulePass):
    """Sort the nodes of a problem into levels, outputs first: a part for each level.

    Level L0 holds the losses; every other node is one level above the last of its readers, so that no
    edge joins two nodes of a level. Cyclic solvers project the levels in turn. Nodes that all have a level
    already keep them: another order of levels is the user's to choose.

    ```
    %z = op.dot "z" %x, %w : ...             %z = op.dot "z" %x, %w part "L1" : ...
    op.margin "loss" %z, %y in ... : ...  -> op.margin "loss" %z, %y in ... part "L0" : ...
    ```
    """

    name = "feas-levels"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for problem in problems(op):
            nodes = training_nodes(problem)
            if nodes and all(node.part is not None and _is_level(node.part.data) for node in nodes):
                continue
            graph = node_graph(problem)
            _refuse_circles(graph, nodes)
            generations = list(nx.topological_generations(graph.reverse()))
            part_of = {
                nodes[index]: f"L{level}" for level, indices in enumerate(generations) for index in indices
            }
            set_parts(problem, [f"L{level}" for level in range(len(generations))], part_of)


def _refuse_circles(graph: nx.DiGraph[int], nodes: list[ops.NodeOp]) -> None:
    """Raise PassFailedException where nodes read each other in a circle, as those of a loop do."""
    for circle in nx.strongly_connected_components(graph):
        first = min(circle)
        if len(circle) > 1 or graph.has_edge(first, first):
            raise PassFailedException(
                f"'{nodes[first].called}' reads in each iteration of a loop what the one before made, so "
                "it has no level; run net-unroll before net-to-feas"
            )


def _is_level(part: str) -> bool:
    return part.startswith("L") and is_whole(part[1:])
