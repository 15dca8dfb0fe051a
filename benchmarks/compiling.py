"""Seconds of compiling, by pjc, JAX's tracing and XLA: sweeps beside Adam, large networks beside small.

Large are the steps of a recurrent network, layers one on another, and layers that the output reads all.

    python benchmarks/compiling.py

A ratio is that of XLA's seconds: for sweeps to Adam's on the same network, for a network of many layers, or
steps, to one of few. Medians of a few repeats. Beside them, what does not depend on how busy the machine is:
the kernels that XLA compiles, which its seconds go with on a CPU, and the temporary memory of a step.
"""

from __future__ import annotations

import argparse
import re
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
LARGE: tuple[tuple[Case | Chain, Case | Chain, tuple[str, ...]], ...] = (
    (Rnn(name="rnn, 16 steps", steps=16), Rnn(name="rnn, 1024 steps", steps=1024), ("sweep",)),
    (Chain(4), Chain(256), ("sweep",)),
    (Mlp(4), Mlp(32), ("sweep", "ap", "dr")),
)
"""A small network, a large one, and the solvers that both are compiled for."""


@dataclass(frozen=True)
class CompileRow:
    """The seconds of compiling a step, and how many times another's of XLA those of XLA are."""

    case: str
    name: str
    pjc_seconds: float
    trace_seconds: float
    xla_seconds: float
    kernels: int
    temp_megabytes: float
    ratio: float = 1.0


Stages = tuple[float, float, float, int, float]


def compile_times(repeats: int = REPEATS) -> list[CompileRow]:
    """Return the rows: Adam then sweeps, and small then large networks."""
    rows = []
    for case in BESIDE_ADAM:
        adam, sweep = _adam(case, repeats), _solver(case, "sweep", repeats)
        rows.append(CompileRow(case.name, "optax Adam step", *adam))
        rows.append(CompileRow(case.name, "sweep", *sweep, ratio=sweep[2] / adam[2]))
    for small, large, solvers in LARGE:
        for solver in solvers:
            few, many = _solver(small, solver, repeats), _solver(large, solver, repeats)
            rows.append(CompileRow(small.name, solver, *few))
            rows.append(CompileRow(large.name, solver, *many, ratio=many[2] / few[2]))
    return rows


def _solver(case: Case | Chain, solver: str, repeats: int) -> Stages:
    """Return the seconds of a sweep with its outer step, or of the iterations of another solver."""
    entry = "step" if solver == "sweep" else "update"

    def once() -> Stages:
        start = time.perf_counter()
        program = pjc.compile(case.text(), solver=solver, batch=case.size)
        middle = time.perf_counter()
        lowered = program.lowered(entry)
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


def _lowered(since: float, lowered: Any) -> tuple[float, float, int, float]:
    """Return the seconds until something was lowered, those of XLA's compiler, and what that has made."""
    middle = time.perf_counter()
    made = lowered.compile()
    seconds = time.perf_counter() - middle
    return middle - since, seconds, kernels(made.as_text()), made.memory_analysis().temp_size_in_bytes / 1e6


def kernels(text: str) -> int:
    """Return how many kernels XLA has compiled for a program, in its text.

    Those are its fusions and the products with a vector, without what a library runs on CPUs.
    """
    fusions = re.findall(r" fusion\(.*", text)
    vectors = re.findall(r" = \w+\[(?:1,\d+|\d+,1|\d+|)\]\S* dot\(", text)
    return sum("__ynn_fusion" not in each for each in fusions) + len(vectors)


def _median(once: Callable[[], Stages], repeats: int) -> Stages:
    jax.block_until_ready(jnp.zeros(1) + 1)  # JAX is up before the first is timed
    found = []
    for _ in range(repeats):
        jax.clear_caches()
        found.append(once())
    front, trace, xla = (median(each) for each in list(zip(*found, strict=True))[:3])
    return front, trace, xla, *found[-1][3:]


def compile_table(rows: list[CompileRow]) -> Table:
    """Return the rows as a table."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("network", "what is compiled", "pjc s", "tracing s", "XLA s", "x", "kernels", "temp MB"):
        made.add_column(title, justify="left" if title in ("network", "what is compiled") else "right")
    for row in rows:
        seconds = (row.pjc_seconds, row.trace_seconds, row.xla_seconds, row.ratio)
        counted = (str(row.kernels), f"{row.temp_megabytes:.2f}")
        made.add_row(row.case, row.name, *(f"{each:.2f}" for each in seconds), *counted)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of each (default: %(default)s)")
    Console(highlight=False, width=120).print(compile_table(compile_times(parser.parse_args().repeats)))


if __name__ == "__main__":
    main()
