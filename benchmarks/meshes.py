"""Iterations on meshes of devices: their time, and what devices send each other, predicted and compiled.

``python benchmarks/meshes.py --devices 8 [MESH ..]`` prints a table for networks that are split along each
axis. All meshes of that many devices are taken if none is named. The devices are those of one CPU: there are
no more cores with more of them, so that times say what splitting costs.

``python benchmarks/meshes.py --predict`` prints what the cost model says for up to thousands of GPUs.
"""

from __future__ import annotations

import argparse
import time

NETWORKS = {
    "mlp 784-128-128-10, batch 256, dr": (
        """
input x: f32[batch, 784]
target y: class[batch, 10]
def layer(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  param bias: f32[width] = zeros
  return sum_relu(bias, x @ weight)
}
def out(x) {
  param weight: f32[x.shape[-1], 10] = he_normal
  return x @ weight
}
hidden = layer
logits = out(hidden(layer(x, 128), 128))
output logits
require cross_entropy(logits, y, strength = 1.0)
""",
        {"batch": 256, "solver": "dr"},
    ),
    "32 layers of 128, batch 64, ap": (
        """
input x: f32[batch, 128]
target y: class[batch, 8]
h = x
for layer in 0..32 {
  param weight: f32[128, 128] = he_normal
  param bias: f32[128] = zeros
  h = sum_relu(bias, h @ weight)
}
param last: f32[128, 8] = he_normal
logits = h @ last
output logits
require cross_entropy(logits, y, strength = 1.0)
""",
        {"batch": 64, "solver": "ap"},
    ),
    "recurrent cell of 64, 32 steps, batch 64, ap": (
        """
input x: f32[batch, 32, 64]
target y: class[batch, 8]
param cell: f32[128, 64] = he_normal
param bias: f32[64] = zeros
h = full((batch, 64), 0)
for t in 0..32 {
  h = sum_relu(bias, concat(x[:, t], h) @ cell)
}
param last: f32[64, 8] = he_normal
logits = h @ last
output logits
require cross_entropy(logits, y, strength = 1.0)
""",
        {"batch": 64, "solver": "ap"},
    ),
}


def milliseconds(step: object, *arguments: object, short: int = 2, long: int = 22) -> float:
    """Return the time of an iteration: the difference of a long and a short update, the best of five."""
    import jax

    def once(count: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(step(*arguments, count))  # type: ignore[operator]
        return time.perf_counter() - start

    once(short)
    best = {count: min(once(count) for _ in range(5)) for count in (short, long)}
    return (best[long] - best[short]) / (long - short) * 1e3


DEEP = """
input x: f32[batch, 4096]
target y: class[batch, 1024]
h = x
for layer in 0..256 {
  param weight: f32[4096, 4096] = he_normal
  param bias: f32[4096] = zeros
  h = sum_relu(bias, h @ weight)
}
param last: f32[4096, 1024] = he_normal
logits = h @ last
output logits
require cross_entropy(logits, y, strength = 1.0)
"""


def predict() -> None:
    """Print the best mesh for more and more GPUs, and the best that leaves the stack axis out."""
    from pjc.driver import compile_text
    from pjc.mesh import factorizations, show
    from pjc.options import Options
    from pjc.passes.analysis.cost import MACHINES

    compilation = compile_text(DEEP, Options(batch=4096, solver="ap"))
    alone = compilation.mesh_plan.predict({"sample": 1, "feature": 1, "stack": 1}, MACHINES["gpu"]).seconds
    print(f"{'devices':>7}  {'best mesh':32} {'ms':>9} {'efficiency':>10}   without stack: efficiency")
    for devices in (1, 8, 64, 512, 4096):
        meshes = factorizations(devices)
        costs = [(compilation.mesh_plan.predict(mesh, MACHINES["gpu"]).seconds, mesh) for mesh in meshes]
        best, mesh = min(costs, key=lambda each: each[0])
        flat, other = min((each for each in costs if each[1]["stack"] == 1), key=lambda each: each[0])
        share, flat_share = alone / devices / best, alone / devices / flat
        print(f"{devices:7}  {show(mesh):32} {best * 1e3:9.2f} {share:10.0%}", end="   ")
        print(f"{show(other)}: {flat_share:.0%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("meshes", nargs="*")
    parser.add_argument("--predict", action="store_true")
    given = parser.parse_args()
    if given.predict:
        predict()
        return
    import jax

    jax.config.update("jax_num_cpu_devices", given.devices)
    import numpy as np

    from pjc.driver import compile_text
    from pjc.mesh import factorizations, show
    from pjc.options import Options
    from pjc.runtime.collectives import iteration_collectives

    meshes = given.meshes or [show(mesh) for mesh in factorizations(given.devices)]
    for name, (text, options) in NETWORKS.items():
        print(f"\n{name}\n{'mesh':28} {'ms':>8} {'predicted':>9}", end=" ")
        print(f"{'collectives':>11} {'bytes':>10} {'predicted':>10}")
        for mesh in (None, *meshes):
            compilation = compile_text(text, Options(mesh=mesh, **options))
            program = compilation.program()
            generator = np.random.default_rng(0)
            data = {spec.name: generator.normal(size=spec.shape).astype("f") for spec in program.inputs}
            data["y"] = generator.integers(0, 8, program.targets[0].shape).astype("i")
            compiled = program.lowered("update").compile()
            taken = milliseconds(compiled, program.stacked(program.init(0)), data)
            if mesh is None:
                print(f"{'one device':28} {taken:8.2f}", flush=True)
                continue
            found = [c for c in iteration_collectives(compiled.as_text()) if c.when != "last"]
            predicted = compilation.mesh_plan.predict()
            total = sum(c.bytes for c in found)
            print(
                f"{mesh:28} {taken:8.2f} {predicted.seconds * 1e3:9.2f} {len(found):11} {total:10,} "
                f"{predicted.bytes:10,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
