"""The fewest identities: the local search against every coloring, on random graphs."""

from __future__ import annotations

import itertools
import random

import networkx as nx
import pytest

from pjc.passes.legalize_bipartite import cheapest_coloring


def random_problem(seed: int, size: int) -> tuple[nx.DiGraph, set[int], set[int]]:
    """A connected acyclic graph with one loss, read by nobody, and some data."""
    rng = random.Random(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    for reader in range(1, size):
        for source in rng.sample(range(reader), min(reader, rng.randint(1, 3))):
            graph.add_edge(source, reader)
    for node in range(size - 1):
        if not list(graph.successors(node)):
            graph.add_edge(node, size - 1)
    data = {n for n in range(size) if not list(graph.predecessors(n)) and rng.random() < 0.5}
    return graph, {size - 1}, data


def cost(graph: nx.DiGraph, colors: dict[int, int], free: set[int]) -> int:
    return sum(
        any(colors[reader] == colors[node] for reader in graph.successors(node))
        for node in graph
        if node not in free
    )


def least_cost(graph: nx.DiGraph, fixed: set[int], free: set[int]) -> int:
    open_nodes = [node for node in graph if node not in fixed]
    return min(
        cost(graph, {**dict.fromkeys(fixed, 0), **dict(zip(open_nodes, bits, strict=True))}, free)
        for bits in itertools.product((0, 1), repeat=len(open_nodes))
    )


@pytest.mark.parametrize("seed", range(40))
def test_small_problems_are_solved_exactly(seed: int) -> None:
    graph, fixed, free = random_problem(seed, 4 + seed % 7)
    colors = cheapest_coloring(graph, fixed, free)
    assert all(colors[node] == 0 for node in fixed)
    assert cost(graph, colors, free) == least_cost(graph, fixed, free)


def test_larger_problems_are_close_to_the_best() -> None:
    found = best = 0
    for seed in range(12):
        graph, fixed, free = random_problem(1000 + seed, 15)
        found += cost(graph, cheapest_coloring(graph, fixed, free), free)
        best += least_cost(graph, fixed, free)
    assert best <= found <= 1.1 * best


def test_a_chain_needs_nothing() -> None:
    graph = nx.DiGraph(itertools.pairwise(range(300)))
    colors = cheapest_coloring(graph, {299}, {0})
    assert cost(graph, colors, set()) == 0
