"""Assign constraints that cannot be stacked to devices: balanced work, few bytes between devices.

Layers that are alike are stacked by their loop, and split along it. Those that are not form a graph:
constraints weighted by the operations of their projections, and edges by the bytes of a value that one
gives and the other holds copies of, to and fro in an iteration. Balanced partitions of least cut are NP-hard
(Garey, Johnson and Stockmeyer, "Some simplified NP-complete graph problems", 1976). Here the order of the
network is cut into stretches whose largest work is least; then single constraints move while that makes the
cut smaller within the allowed imbalance, or the largest load smaller (Fiduccia and Mattheyses, "A linear-time
heuristic for improving network partitions", 1982).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import networkx as nx

from pjc.dialects import feas, ops
from pjc.dialects.view import element_bytes, shape_of
from pjc.passes.analysis.cost import ENTRY_OPERATIONS
from pjc.passes.analysis.graph import node_graph, training_nodes

IMBALANCE = 0.1
"""By how much the largest load may exceed the mean, if single constraints allow that."""


@dataclass(frozen=True)
class Assignment:
    """Which device each constraint is given to.

    Attributes:
        devices: the labels of the constraints of each device, in the order of the network.
        loads: the operations of each device in an iteration.
        cut: the bytes that devices send each other in an iteration, of all devices together.
        total: the bytes of all edges, cut or not.
    """

    devices: tuple[tuple[str, ...], ...]
    loads: tuple[int, ...]
    cut: int
    total: int

    @property
    def balance(self) -> float:
        """The largest load by the mean load: 1 is perfect, the number of devices is one that does it all."""
        mean = sum(self.loads) / len(self.loads)
        return max(self.loads) / mean if mean else 1.0


def distinct_graph(problem: feas.ProblemOp, operations: Mapping[str, int]) -> nx.Graph[str]:
    """Return the graph of the constraints that no loop stacks, by label.

    Nodes have ``work`` (operations), edges ``bytes``. A parameter or a datum goes where it is read, and is no
    node: who reads it from two devices is joined by an edge.
    """
    nodes = training_nodes(problem)
    graph: nx.Graph[str] = nx.Graph()
    kept = [
        feas.loop_of(node) is None and not isinstance(node, ops.GivenOp | ops.ParameterOp) for node in nodes
    ]
    for node, keep in zip(nodes, kept, strict=True):
        if keep:
            entries = sum(prod(shape_of(operand)) for operand in node.operands)
            label = node.called
            graph.add_node(label, work=operations.get(label, ENTRY_OPERATIONS * entries))
    for index, reader in node_graph(problem).edges:
        given, held = nodes[index], nodes[reader]
        size = _bytes(given)
        if kept[index] and kept[reader]:
            _join(graph, given.called, held.called, 2 * size)
        elif isinstance(given, ops.ParameterOp) and kept[reader]:
            first = next(op for op in graph if op in _readers(given))
            if first != held.called:
                _join(graph, first, held.called, 2 * size)
    return graph


def assign(graph: nx.Graph[str], devices: int) -> Assignment:
    """Return the constraints' devices: balanced, with a small cut. The same graph gives the same devices."""
    place = _stretches(graph, devices)
    work = _work(graph)
    loads = [sum(work[node] for node in graph if place[node] == device) for device in range(devices)]
    allowed = max((1 + IMBALANCE) * sum(loads) / devices, max(work.values(), default=0))
    for _ in range(len(graph)):
        moves = [
            move
            for node in graph
            for target in range(devices)
            if (move := _gain(graph, place, loads, node, target, allowed)) is not None
        ]
        if not moves:
            break
        _, _, node, target = max(moves, key=lambda move: move[:2])
        loads[place[node]] -= work[node]
        loads[target] += work[node]
        place[node] = target
    edges = [(one, other, int(data["bytes"])) for one, other, data in graph.edges(data=True)]
    cut = sum(size for one, other, size in edges if place[one] != place[other])
    listed = tuple(tuple(node for node in graph if place[node] == device) for device in range(devices))
    return Assignment(listed, tuple(loads), cut, sum(size for _, _, size in edges))


def _work(graph: nx.Graph[str]) -> dict[str, int]:
    return {node: int(graph.nodes[node]["work"]) for node in graph}


def _stretches(graph: nx.Graph[str], devices: int) -> dict[str, int]:
    """Return the network's order, cut into stretches whose largest work is least, by bisection on it."""
    work = list(_work(graph).values())
    low, high = max(work, default=0), sum(work)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _filled(work, middle)[-1] < devices else (middle + 1, high)
    return dict(zip(graph, _filled(work, low), strict=True))


def _filled(work: list[int], limit: int) -> list[int]:
    """Return the device of each constraint where each device takes as many as its limit lets it."""
    places, device, load = [], 0, 0
    for each in work:
        if load + each > limit:
            device, load = device + 1, 0
        load += each
        places.append(device)
    return places or [0]


def _gain(
    graph: nx.Graph[str],
    place: Mapping[str, int],
    loads: list[int],
    node: str,
    target: int,
    allowed: float,
) -> tuple[int, int, str, int] | None:
    """Return what a move gains, (bytes, operations of the larger load), and the move; None if nothing."""
    source, work = place[node], graph.nodes[node]["work"]
    if source == target:
        return None
    saved = 0
    for other, data in graph[node].items():
        saved += data["bytes"] * ((place[other] == target) - (place[other] == source))
    relief = max(loads[source], loads[target]) - max(loads[source] - work, loads[target] + work)
    fits = loads[target] + work <= allowed
    better = (fits and saved > 0) or (loads[source] > allowed and relief > 0) or (saved == 0 and relief > 0)
    return (saved, relief, node, target) if better else None


def _join(graph: nx.Graph[str], one: str, other: str, size: int) -> None:
    before = graph.get_edge_data(one, other, {"bytes": 0})["bytes"]
    graph.add_edge(one, other, bytes=before + size)


def _readers(node: ops.NodeOp) -> set[str]:
    return {reader.called for reader, _, _ in feas.readers(node)}


def _bytes(node: ops.NodeOp) -> int:
    value = node.results[0]
    return prod(shape_of(value)) * element_bytes(value.type)
