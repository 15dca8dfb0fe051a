"""Seconds of compiling, by pjc, JAX's tracing and XLA: sweeps beside Adam, large networks beside small.

    python benchmarks/compiling.py

A ratio is that of XLA's seconds: for sweeps to Adam's on the same network, for a network of many layers, or
steps, to one of few. Medians of some repeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
from networks import Case, Chain, Cnn, Mlp, Rnn
from rich.console import Console
from rich.table import Table

import pjc

REPEATS = 3
BESIDE_ADAM: tuple[Case, ...] = (Mlp(2), Cnn(), Rnn())
LARGE = (
    (Rnn(name="rnn, 16 steps", steps=16), Rnn(name="rnn, 1024 steps", steps=1024)),
    (Chain(4), Chain(256)),
)


@dataclass(frozen=True)
class CompileRow:
    """The seconds of compiling a step, and how many times another's of XLA those of XLA are."""

    case: str
    name: str
    pjc_seconds: float
    trace_seconds: float
    xla_seconds: float
    ratio: float = 1.0


Stages = tuple[float, float, float]


def compile_times(repeats: int = REPEATS) -> list[CompileRow]:
    """Return the rows: Adam then sweeps, and small then large networks."""
    rows = []
    for case in BESIDE_ADAM:
        adam, sweep = _adam(case, repeats), _sweep(case, repeats)
        rows.append(CompileRow(case.name, "optax Adam step", *adam))
        rows.append(CompileRow(case.name, "sweep", *sweep, ratio=sweep[2] / adam[2]))
    for small, large in LARGE:
        few, many = _sweep(small, repeats), _sweep(large, repeats)
        rows.append(CompileRow(small.name, "sweep", *few))
        rows.append(CompileRow(large.name, "sweep", *many, ratio=many[2] / few[2]))
    return rows


def _sweep(case: Case | Chain, repeats: int) -> Stages:
    """Return the seconds of a sweep with its outer step."""

    def once() -> Stages:
        start = time.perf_counter()
        program = pjc.compile(case.text(), solver="sweep", batch=case.size)
        middle = time.perf_counter()
        lowered = program.lowered("step")
        return middle - start, *_lowered(middle, lowered)

    return _median(once, repeats)


def _adam(case: Case, repeats: int) -> Stages:
    """Return the seconds of a step of optax's Adam by the gradient, for which pjc does nothing."""
    start, run = case.adam()
    x, y = case.batch()
    state = start(case.weights(jax.random.key(0)))

    def once() -> Stages:
        middle = time.perf_counter()
        return 0.0, *_lowered(middle, jax.jit(lambda state, x, y: run(state, x, y, 1)).lower(state, x, y))

    return _median(once, repeats)


def _lowered(since: float, lowered: Any) -> tuple[float, float]:
    """Return the seconds until something was lowered, and those of XLA's compiler."""
    middle = time.perf_counter()
    lowered.compile()
    return middle - since, time.perf_counter() - middle


def _median(once: Callable[[], Stages], repeats: int) -> Stages:
    jax.block_until_ready(jnp.zeros(1) + 1)  # JAX is up before the first is timed
    found = []
    for _ in range(repeats):
        jax.clear_caches()
        found.append(once())
    front, trace, xla = (median(each) for each in zip(*found, strict=True))
    return front, trace, xla


def compile_table(rows: list[CompileRow]) -> Table:
    """Return the rows as a table."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("network", "what is compiled", "pjc s", "tracing s", "XLA s", "x"):
        made.add_column(title, justify="left" if title in ("network", "what is compiled") else "right")
    for row in rows:
        seconds = (row.pjc_seconds, row.trace_seconds, row.xla_seconds, row.ratio)
        made.add_row(row.case, row.name, *(f"{each:.2f}" for each in seconds))
    return made


if __name__ == "__main__":
    Console(highlight=False, width=120).print(compile_table(compile_times()))
