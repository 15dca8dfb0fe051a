"""Trains small networks on meshes of eight CPU devices and on one device; test_mesh.py runs it as a process.

``python mesh_cases.py CASES`` with cases as JSON, ``[[network, solver, mesh, dtype], ..]``, prints a line of
JSON for each: the largest difference of a parameter to one device, both gaps, and the compiled program.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

DEVICES = 8
HEAD = """
target y: class[batch, 8]
def dense(x, width) {
    param weight: f32[x.shape[-1], width] = he_normal
    return x @ weight
}
def relu(x) {
    param bias: f32[x.shape[-1]] = normal(0.1)
    return sum_relu(bias, x)
}
cell = dense
out = dense
"""
LOSS = "\nrequire cross_entropy(logits, y, strength = 1.0)\n"
NETWORKS = {
    "mlp": "input x: f32[batch, 16]"
    + HEAD
    + "output logits = out(relu(dense(relu(dense(x, 24)), 16)), 8)"
    + LOSS,
    "cnn": "input x: f32[batch, 8, 8, 1]"
    + HEAD
    + """
param kernel: f32[3, 3, 1, 8] = he_normal
param second: f32[3, 3, 8, 8] = he_normal
z = relu(conv2d(relu(conv2d(x, kernel)), second))
pooled = mean(z, axis = [1, 2])
output logits = out(pooled, 8)"""
    + LOSS,
    "recurrent": "input x: f32[batch, 24, 4]"
    + HEAD
    + """
h = full((batch, 12), 0)
for t in 0..24 {
    h = relu(cell(concat(x[:, t], h), 12))
}
output logits = out(h, 8)"""
    + LOSS,
    "deep": "input x: f32[batch, 16]"
    + HEAD
    + """
h = relu(cell(x, 16))
for layer in 0..24 {
    h = relu(dense(h, 16))
}
output logits = out(h, 8)"""
    + LOSS,
    "unlike": "input x: f32[batch, 16]"
    + HEAD
    + """
param shared: f32[16, 16] = he_normal
g = relu(x @ shared)
h = abs(relu(dense(g @ shared, 24)))
k = max(reshape(h, (batch, 12, 2)), axis = 2)
output logits = out(concat(g, h, k * k), 8)
require shared in box(-0.6, 0.6)"""
    + LOSS,
}
BATCH, ITERATIONS = 16, 50


def data_of(program: Any) -> tuple[Any, ...]:
    import numpy as np

    generator = np.random.default_rng(3)
    x = generator.normal(size=program.inputs[0].shape).astype(program.inputs[0].dtype)
    targets = [
        generator.integers(0, 8, each.shape).astype(np.int32)
        if each.classes
        else generator.normal(size=each.shape).astype(each.dtype)
        for each in program.targets
    ]
    return x, *targets


def largest_difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    import numpy as np

    assert sorted(one) == sorted(other)
    found = [float(np.max(np.abs(np.asarray(one[name]) - np.asarray(other[name])))) for name in one]
    assert all(np.isfinite(found))
    return max(found)


def run(network: str, solver: str, mesh: str, **options: Any) -> dict[str, Any]:
    """Return what a case gives: the difference to one device, the gaps, and the compiled program."""
    import numpy as np

    import pjc

    settings = {"batch": BATCH, "solver": solver, **options}
    single = pjc.compile(NETWORKS[network], **settings)
    program = pjc.compile(NETWORKS[network], mesh=mesh, **settings)
    params = single.init(0)
    x, y = data_of(single)
    expected, info = single.update(params, x, y, iterations=ITERATIONS)
    compiled = program.lowered("update").compile()
    found, info_on_mesh = compiled(program.stacked(params), {"x": x, "y": y}, np.int32(ITERATIONS))
    found = program.separate(found)
    (module,) = compiled.runtime_executable().hlo_modules()
    nearby = {name: value * (1 + np.finfo(value.dtype).eps) for name, value in params.items()}
    return {
        "largest": max(float(abs(value).max()) for value in expected.values()),
        "moved": largest_difference(expected, params),
        "difference": largest_difference(expected, found),
        "gaps": [float(info["gap"]), float(info_on_mesh["gap"])],
        "losses": [float(info["loss"]), float(info_on_mesh["loss"])],
        "one_bit": largest_difference(expected, single.update(nearby, x, y, iterations=ITERATIONS)[0]),
        "hlo": compiled.as_text(),
        "module": base64.b64encode(module.as_serialized_hlo_module_proto()).decode(),
        "proj": program.ir("placed"),
    }


def main() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={DEVICES}"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import jax

    for network, solver, mesh, dtype in json.loads(sys.argv[1]):
        with jax.enable_x64(dtype == "f64"):
            found = run(network, solver, mesh, dtype=dtype)
        print(json.dumps({"case": [network, solver, mesh, dtype], **found}), flush=True)


if __name__ == "__main__":
    main()
