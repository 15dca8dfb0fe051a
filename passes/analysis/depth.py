"""How deep a network is, as a solver sees it that passes on what is asked from constraint to constraint."""

from __future__ import annotations

from math import prod

import networkx as nx

from pjc.dialects import feas, ops
from pjc.dialects.steps import shapes_along
from pjc.dialects.view import shape_of
from pjc.passes.analysis.graph import node_graph, training_nodes


def levels(problem: feas.ProblemOp) -> int:
    """Return how many products lie between a requirement and the parameter that is farthest from all.

    Along the shortest way to each parameter, so that a skip counts for what it spares. Where layers are the
    iterations of a loop and what follows reads the last one alone, the first is all of them away. 0 where
    nothing is required of a parameter.
    """
    nodes = training_nodes(problem)
    graph = _weighted(problem, nodes)
    away = _away(graph, nodes)
    behind: dict[int, int] = {}
    for cycle in nx.strongly_connected_components(graph):
        around = _around(graph, cycle)
        if around and _read_at_an_end(nodes, cycle):
            for place in {source for each in cycle for source in graph.predecessors(each)}:
                behind[place] = around
    found = [0]
    for place, node in enumerate(nodes):
        if isinstance(node, ops.ParameterOp) and place in away:
            # Of layers that are not rolled into a loop, each reads its own rows of what is one parameter.
            each = [
                edge["weight"] + away[reader]
                for _, reader, edge in graph.out_edges(place, data=True)
                if reader in away
            ]
            nearest = max(each) if _iterations(node) > 1 else min(each)
            found.append(nearest + (_iterations(node) - 1) * behind.get(place, 0))
    return max(found)


def distances(problem: feas.ProblemOp) -> dict[ops.NodeOp, int]:
    """Return how many products lie between each node and the requirement that is nearest to it.

    Nodes that no requirement of values reaches are left out.
    """
    nodes = training_nodes(problem)
    return {nodes[place]: int(far) for place, far in _away(_weighted(problem, nodes), nodes).items()}


def _weighted(problem: feas.ProblemOp, nodes: list[ops.NodeOp]) -> nx.DiGraph[int]:
    """Return the graph of training nodes; an edge weighs 1 where its reader is a product, else 0."""
    graph = node_graph(problem)
    for _, reader, edge in graph.edges(data=True):
        edge["weight"] = int(isinstance(nodes[reader], ops.BilinearOp | ops.ProductOp))
    return graph


def _away(graph: nx.DiGraph[int], nodes: list[ops.NodeOp]) -> dict[int, float]:
    """Return how far the nearest requirement is from each place that leads to one."""
    required = {place for place, node in enumerate(nodes) if _asks(node)}
    return dict(nx.multi_source_dijkstra_path_length(graph.reverse(), required)) if required else {}


def _asks(node: ops.NodeOp) -> bool:
    """Whether a node requires something of values; what is required of parameters is no way off."""
    if isinstance(node, ops.SetOp):
        return not all(isinstance(each, ops.ParameterOp) for each in feas.sources(node.value))
    return isinstance(node, ops.LossOp)


def _around(graph: nx.DiGraph[int], cycle: set[int]) -> int:
    """Return the fewest products on a way around a recurrence; 0 if it is none."""
    own = graph.subgraph(cycle)
    lengths = [
        edge["weight"] + nx.dijkstra_path_length(own, reader, source)
        for source, reader, edge in own.edges(data=True)
    ]
    return min(lengths, default=0)


def _read_at_an_end(nodes: list[ops.NodeOp], cycle: set[int]) -> bool:
    """Whether all that reads a recurrence from outside takes no more than one iteration of it."""
    own = {nodes[place] for place in cycle}
    for node in own:
        loop = feas.loop_of(node)
        shape = shape_of(node.results[0])
        count = 1 if loop is None else loop.count.data
        for reader, _, steps in feas.readers(node):
            fewest = min(prod(each) for each in shapes_along(steps, shape))
            if reader not in own and fewest * count > prod(shape):
                return False
    return True


def _iterations(parameter: ops.ParameterOp) -> int:
    """Return how many iterations of a loop have such a parameter of their own."""
    return 1 if parameter.family is None else parameter.family.value.data
