"""Draws the figures of the documentation: ``python docs/figures.py``, with matplotlib, in some seconds.

pjc computes what they show: its projections and its solvers' formulas two curves in the plane, its passes the
copies and the graphs. Accuracy over seconds comes from benchmarks/accuracy.json, which
``python docs/figures.py --records FILE.json`` takes anew from what ``benchmarks/accuracy.py`` has filed.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pjc.driver import compile_file
from pjc.notebook import picture
from pjc.options import Options
from pjc.passes.solvers import parse as parse_solver
from pjc.runtime.outer_settings import RATES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
RECORDS = ROOT / "benchmarks" / "accuracy.json"

Points = NDArray[np.float64]

EDGES, SLOPES, OFFSETS = (0.3, 0.8), (0.0, -1.5, 0.5), (1.15, 1.6, 0.0)
"""A function of three pieces: it nearly touches the circle at the top, and crosses it at the right."""
START = (-0.55, 1.7)
STEPS = 80
MET = 1e-2
"""The gap at which a picture shows two points as one."""


@cache
def projection(part: str) -> Callable[[Points], Any]:
    """Return pjc's projection onto one of the two curves, compiled."""
    import jax
    import jax.numpy as jnp

    from pjc.runtime.projections import constraint_set, operator

    if part == "circle":
        return jax.jit(constraint_set("sphere", radius=1.0, axes=(0,)).project)
    function = operator("piecewise", edges=EDGES, slopes=SLOPES, offsets=OFFSETS)

    def project(x: Any) -> Any:
        (u,), z = function.project((x[0],), x[1])
        return jnp.stack([u, z])

    return jax.jit(project)


@dataclass
class Plane:
    """What a solver's formula is written in, for points of the plane: as an Iteration has it."""

    x: Points
    parts: tuple[str, ...] = ("circle", "graph")
    halfway: bool = False

    def P(self, part: int, x: Points) -> Points:
        """Project onto the circle, or onto the graph of the function, as pjc does."""
        return np.asarray(projection(self.parts[part])(x), float)

    def combine(self, *terms: tuple[float, Points]) -> Points:
        """Return the sum of weight times point."""
        return np.asarray(sum(weight * point for weight, point in terms))


def path_of(solver: str, steps: int = STEPS) -> tuple[Points, Points]:
    """Return the iterates of a solver ``[steps + 1, 2]`` and what each gap is between ``[steps, 2, 2]``."""
    x, found, ends = np.array(START), [np.array(START)], []
    for _ in range(steps):
        x, one, other = parse_solver(solver).iteration(Plane(x))  # type: ignore[arg-type, assignment]
        found.append(x)
        ends.append(np.stack([one, other]))
    return np.stack(found), np.stack(ends)


def two_curves() -> Figure:
    """Draw ap, dr and rrr on a circle and the graph of a function."""
    figure, axes = new_figure(1, 3, (10.5, 4.1))
    angle, t = np.linspace(0, 2 * math.pi, 200), np.linspace(-1.3, 2.1, 400)
    for axis, solver in zip(axes[0], ("ap", "dr", "rrr{step=0.5}"), strict=True):
        points, ends = path_of(solver)
        gaps = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)
        axis.plot(np.cos(angle), np.sin(angle), color="0.55")
        axis.plot(t, np.select([t <= EDGES[0], t <= EDGES[1]], _heights(t)[:2], _heights(t)[2]), color="0.2")
        axis.plot(*points.T, ".-", color="C0", linewidth=0.8, markersize=4)
        axis.plot(*points[0], "o", color="C2", label="start")
        axis.plot(*ends[-1].T, "x-", color="C3", markersize=8, label="its projections in the end")
        arrived = int(np.argmax(gaps < MET)) + 1 if (gaps < MET).any() else None
        told = f"a point of both after {arrived}" if arrived else f"stuck at a gap of {gaps[-1]:.2f}"
        axis.set(title=f"{solver}: {told}", xlim=(-1.3, 2.1), ylim=(-0.9, 2.5), aspect="equal")
        axis.title.set_fontsize(10)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    return figure


def _heights(t: Points) -> list[Points]:
    return [slope * t + offset for slope, offset in zip(SLOPES, OFFSETS, strict=True)]


def copies(solver: str, level: int) -> int:
    """Return how many numbers the copies in 64-1024-10 are, under a solver at a level of the compiler."""
    from pjc.dialects.variables import VariableOp
    from pjc.dialects.view import shape_of

    source = str(ROOT / "examples" / "digits_mlp.pjn")
    size = Options(batch=256, defines={"hidden": 1024}, memory="8G")
    module = compile_file(source, replace(size, solver=solver, level=level)).at("proj")
    variables = [op for op in module.walk() if isinstance(op, VariableOp)]
    return sum(math.prod(shape_of(op.type)) for op in variables if op.role.data != "slot")


def copies_vanishing() -> Figure:
    """Draw the copies of a network by solver and level."""
    figure, axes = new_figure(1, 1, (6.5, 3.2))
    axis = axes[0, 0]
    for at, solver in enumerate(("dr", "ap", "sweep")):
        for level in (0, 1, 2):
            count, place = copies(solver, level), at + 0.27 * (level - 1)
            axis.bar(place, max(count, 1), 0.25, color=f"C{level}", label=f"-O{level}" if at == 0 else None)
            axis.text(
                place,
                max(count, 1) * 1.2,
                f"{count / 1e6:.1f} M" if count else "none",
                ha="center",
                fontsize=7,
            )
    axis.set(yscale="log", ylim=(1, 1e9), ylabel="numbers in copies", title="64-1024-10, batch 256")
    axis.set_xticks(range(3), ("dr", "ap", "sweep"))
    axis.legend(fontsize=8)
    return figure


FUSED = """
input x: f32[batch, 8]
target y: class[batch, 3]
param w: f32[8, 16] = he_normal
param b: f32[16] = zeros
param v: f32[16, 3] = he_normal
h = relu(x @ w + b)
output logits = h @ v
require cross_entropy(logits, y)
"""


def fusion() -> str:
    """Return the graph of a network before and after feas-fuse as SVG; parameters are left out."""
    from pjc.api import compile

    program = compile(FUSED, batch=4)
    drawn = [_graph(program.ir(stage)) for stage in ("net", "feas")]
    sizes = [tuple(map(float, re.findall(r'(?:width|height)="([\d.]+)"', each)[:2])) for each in drawn]
    width, height = sum(each[0] for each in sizes) + 20, max(each[1] for each in sizes) + 24
    parts, at = [], 0.0
    for title, svg, size in zip(("net", "feas, after feas-fuse"), drawn, sizes, strict=True):
        parts.append(f'<text x="{at + 24:g}" y="16" font-weight="bold">{title}</text>')
        parts.append(svg.replace("<svg ", f'<svg x="{at:g}" y="24" ', 1))
        at += size[0] + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _graph(text: str) -> str:
    from pjc.dialects.nodes import NodeOp, SourceOp
    from pjc.dialects.ops import ParameterOp
    from pjc.ir_text import parse_module
    from pjc.universe import context

    nodes = [op for op in parse_module(context(), text, "dump").walk() if isinstance(op, NodeOp | SourceOp)]
    return picture([op for op in nodes if not isinstance(op, ParameterOp)])


SHOWN = {
    "mnist_mlp": "784-128-10, MNIST",
    "cnn_mnist": "a convolution, pooled, MNIST",
    "sparse_digits": "8 inputs for each unit, digits",
    "ternary_digits": "weights of -1, 0 and 1, digits",
}
"""The networks of the figure of accuracy, of those of benchmarks/accuracy.png."""


def kept(path: Path) -> dict[str, Any]:
    """Return what the figure shows of the runs that benchmarks/accuracy.py filed."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from accuracy_report import rows_of

    filed: dict[str, list[dict[str, Any]]] = {}
    for key, run in json.loads(path.read_text(encoding="utf-8"))["runs"].items():
        if run["method"] == "adam" or run["rate"] == RATES["adam"]:
            filed.setdefault(key.split(" ")[0].rpartition("-")[0], []).append(run)
    found: dict[str, Any] = {}
    for row in rows_of(filed):
        if row.name in SHOWN:
            found[row.name] = {
                method: {
                    "rate": side.rate,
                    "seconds": [[round(t, 4) for t in run["seconds"]] for run in side.runs],
                    "accuracy": [[round(a, 5) for a in run["test"]] for run in side.runs],
                }
                for method, side in (("sweep", row.sweep), ("adam", row.adam))
            }
    return found


def accuracy() -> Figure:
    """Draw test accuracy over seconds of training, of sweeps and of Adam, a line for each seed."""
    records = json.loads(RECORDS.read_text(encoding="utf-8"))
    figure, axes = new_figure(2, 2, (8.4, 5.6))
    for axis, (name, title) in zip(axes.flat, SHOWN.items(), strict=True):
        for method, color in (("sweep", "C0"), ("adam", "C1")):
            side, who = records[name][method], "sweeps" if method == "sweep" else "Adam"
            for n, (seconds, scores) in enumerate(zip(side["seconds"], side["accuracy"], strict=True)):
                label = f"{who}, rate {side['rate']:g}" if n == 0 else None
                axis.plot(seconds, [100 * each for each in scores], color=color, linewidth=1, label=label)
        axis.set(title=title, xlabel="seconds of training", ylabel="test accuracy, %", ylim=(80, 100))
        axis.legend(fontsize=8, loc="lower right")
    return figure


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """Return a figure of so many panels and its axes, which are written the same way each time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pjc", "font.family": "sans-serif"})
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")


DRAWN = {"two_curves": two_curves, "copies": copies_vanishing, "accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=Path, help="take the runs anew from this file")
    records = parser.parse_args().records
    if records is not None:
        RECORDS.write_text(json.dumps(kept(records)) + "\n", encoding="utf-8")
    for name, draw in DRAWN.items():
        draw().savefig(FIGURES / f"{name}.svg", metadata={"Date": None, "Creator": None})
    (FIGURES / "fusion.svg").write_text(fusion(), encoding="utf-8")


if __name__ == "__main__":
    main()
