"""Time a sweep, and an iteration of the other solvers, against bare matrix products and a step of Adam.

    python benchmarks/iterations.py -o results
    python benchmarks/iterations.py --cases mlp-2,rnn --solvers sweep

prints a table, and writes it as results.json and results.png. All is measured in one process: in each round
every variant runs once, and a ratio is the median over rounds of the quotient within a round, so that a
machine that is slow for a while is slow for all. A sweep has an outer step of the same rate and eps as the
Adam that it is compared with, which trains the same network by its gradient. Seconds of compiling are those
of pjc, of JAX's tracing and of XLA; compiling.py, whose table follows, takes them apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from compiling import compile_table, compile_times
from networks import Case, Cnn, Mlp, Rnn
from rich.console import Console
from rich.table import Table

import pjc
from pjc.runtime.products import PRODUCTS

CASES: dict[str, Case] = {case.name: case for case in (Mlp(2), Mlp(8), Mlp(32), Cnn(), Rnn())}
WIDE = Mlp(3, size=1024, width=4096)
"""What fills an accelerator; two cores take seconds for a step of it."""
SWEEP, ADAM = "sweep", "optax Adam step"
LONG, SHORT = 50, 2
"""How many iterations are timed together: fewer where all copies are held, a hundred times as slow."""


@dataclass(frozen=True)
class Variant:
    """Something to time: ``run()`` does ``iterations`` of it."""

    case: str
    name: str
    iterations: int
    run: Callable[[], Any]
    compile_seconds: float
    temp_bytes: int


@dataclass(frozen=True)
class Row:
    """What was measured of a variant; times in milliseconds, of one iteration."""

    case: str
    name: str
    median_ms: float
    ratio_to_products: float
    ratio_to_adam: float
    compile_seconds: float
    temp_megabytes: float


def compiled(function: Any, *arguments: Any, products: str = "f32") -> tuple[Any, float, int]:
    """Return a jitted function compiled for arguments, the seconds that took, and its temporary bytes."""
    start = time.perf_counter()
    with jax.default_matmul_precision(PRODUCTS[products]):  # the same for all, whatever the device prefers
        executable = function.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    return executable, seconds, int(executable.memory_analysis().temp_size_in_bytes)


def solver_variant(case: Case, solver: str, level: int) -> Variant:
    """Return an update of a compiled network."""
    start = time.perf_counter()
    program = pjc.compile(case.text(), solver=solver, batch=case.size, level=level)
    seconds = time.perf_counter() - start
    x, y = case.batch()
    iterations = SHORT if level == 0 or (level, solver) == (1, "dr") else LONG
    arguments = (program.stacked(program.init(0)), {"x": x, "y": y}, jnp.asarray(iterations, jnp.int32))
    executable, more, temp = compiled(program.jitted("update"), *arguments)

    def run() -> Any:
        return executable(*arguments)

    return Variant(case.name, f"{solver} -O{level}", iterations, run, seconds + more, temp)


def sweep_variant(case: Case, iterations: int = LONG, products: str = "f32") -> Variant:
    """Return sweeps, each with its outer step."""
    start = time.perf_counter()
    program = pjc.compile(
        case.text(), solver="sweep", batch=case.size, schedule="constant", products=products
    )
    state = program.start(0)
    seconds = time.perf_counter() - start
    x, y = case.batch()

    def steps(state: Any, x: Any, y: Any, iterations: int) -> Any:
        return jax.lax.fori_loop(0, iterations, lambda _, state: program.step(state, x, y)[0], state)

    made = jax.jit(steps, static_argnums=3)
    executable, more, temp = compiled(made, state, x, y, iterations, products=products)

    def run() -> Any:
        return executable(state, x, y)

    return Variant(case.name, SWEEP, iterations, run, seconds + more, temp)


def other_variants(case: Case, iterations: int = LONG, products: str = "f32") -> list[Variant]:
    """Return the bare products and Adam."""
    x, y = case.batch()
    weights = case.weights(jax.random.key(0))
    found = []
    start, adam = case.adam()
    for name, function, arguments in (
        ("bare products", case.bare_products, (weights, x)),
        (ADAM, adam, (start(weights), x, y)),
    ):
        made = jax.jit(function, static_argnums=len(arguments))
        executable, seconds, temp = compiled(made, *arguments, iterations, products=products)

        def run(executable: Any = executable, arguments: Any = arguments) -> Any:
            return executable(*arguments)

        found.append(Variant(case.name, name, iterations, run, seconds, temp))
    return found


def measure(variants: list[Variant], rounds: int) -> list[Row]:
    """Return the medians over rounds; the first two variants are what the ratios are to."""
    for variant in variants:
        jax.block_until_ready(variant.run())
    times = np.zeros((rounds, len(variants)))
    for one in range(rounds):
        for index, variant in enumerate(variants):
            jax.block_until_ready(variant.run())  # the one before has left its data in the caches
            start = time.perf_counter()
            jax.block_until_ready(variant.run())
            times[one, index] = 1e3 * (time.perf_counter() - start) / variant.iterations
    medians, *ratios = (
        np.median(each, axis=0) for each in (times, times / times[:, :1], times / times[:, 1:2])
    )
    return [
        Row(v.case, v.name, float(m), float(r), float(a), v.compile_seconds, v.temp_bytes / 1e6)
        for v, m, r, a in zip(variants, medians, *ratios, strict=True)
    ]


def table(rows: list[Row]) -> Table:
    """Return the rows as a table."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("network", "variant", "ms/iteration", "x products", "x Adam", "compile s", "temp MB"):
        made.add_column(title, justify="left" if title in ("network", "variant") else "right")
    for row in rows:
        made.add_row(
            row.case,
            row.name,
            f"{row.median_ms:.2f}",
            f"{row.ratio_to_products:.2f}",
            f"{row.ratio_to_adam:.2f}",
            f"{row.compile_seconds:.1f}",
            f"{row.temp_megabytes:.1f}",
        )
    return made


def plot(rows: list[Row], path: Path) -> None:
    """Draw the times as bars, on a logarithmic scale, one panel for each network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cases = list(dict.fromkeys(row.case for row in rows))
    figure, axes = plt.subplots(1, len(cases), figsize=(5 * len(cases), 3.2), squeeze=False)
    for axis, case in zip(axes[0], cases, strict=True):
        chosen = [row for row in rows if row.case == case][::-1]
        bars = axis.barh([row.name for row in chosen], [row.median_ms for row in chosen])
        axis.bar_label(bars, [f"{row.ratio_to_products:.1f}x" for row in chosen], padding=3)
        axis.set(xscale="log", xlabel="ms per iteration", title=case)
        axis.margins(x=0.2)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="networks (default: %(default)s)")
    parser.add_argument("--solvers", default="sweep,ap,dr", help="solvers (default: %(default)s)")
    parser.add_argument("--levels", default="0,1,2", help="levels (default: %(default)s)")
    parser.add_argument("--no-compiling", action="store_true", help="leave out what compiling.py measures")
    parser.add_argument("--rounds", type=int, default=15, help="repeats (default: %(default)s)")
    parser.add_argument("-o", dest="output", help="where to write the JSON and the plot, without suffix")
    given = parser.parse_args()
    console = Console(highlight=False, width=120)
    rows: list[Row] = []
    for name in given.cases.split(","):
        case = CASES[name]
        variants = other_variants(case)
        for solver in given.solvers.split(","):
            levels = [int(level) for level in given.levels.split(",") if int(level) in case.levels]
            variants += (
                [sweep_variant(case)]
                if solver == SWEEP
                else [solver_variant(case, solver, level) for level in levels]
            )
        console.print(f"{name}: {len(variants)} variants, {given.rounds} rounds")
        rows += measure(variants, given.rounds)
        console.print(table([row for row in rows if row.case == name]))
    compiling = [] if given.no_compiling else compile_times()
    if compiling:
        console.print(compile_table(compiling))
    if given.output:
        record = {
            "device": jax.devices()[0].device_kind,
            "machine": platform.machine(),
            "jax": jax.__version__,
            "batches": {name: CASES[name].size for name in given.cases.split(",")},
            "rounds": given.rounds,
            "rows": [asdict(row) for row in rows],
            "compiling": [asdict(row) for row in compiling],
        }
        Path(f"{given.output}.json").write_text(json.dumps(record, indent=1) + "\n")
        plot(rows, Path(f"{given.output}.png"))


if __name__ == "__main__":
    main()
