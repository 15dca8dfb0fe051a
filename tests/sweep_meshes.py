"""Sweeps on meshes of eight CPU devices and on one; test_sweep_meshes.py runs it as a process.

``python sweep_meshes.py CASES`` with cases as JSON, ``[[network, mesh, dtype, batch], ..]``, prints a line of
JSON for each: the largest difference of a displacement to one device, without and with weights of samples,
relative to the largest displacement, and those of what is demanded, and of the loss.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mesh_cases import DEVICES, HEAD, LOSS, data_of, largest_difference
from mesh_cases import NETWORKS as OF_ALL_SOLVERS

NETWORKS = {
    **OF_ALL_SOLVERS,
    "samples along a second axis": "input x: f32[batch, 3, 4]"
    + HEAD
    + """
h = full((2, batch, 4), 0.3)
for t in 0..3 {
    rows = cell(reshape(h, (2 * batch, 4)), 4)
    h = relu(reshape(rows, (2, batch, 4)) + reshape(dense(x[:, t], 4), (1, batch, 4)))
}
output logits = out(reshape(h[0:1], (batch, 4)), 8)"""
    + LOSS,
    "a loss that nothing moves": "input x: f32[batch, 6]\ntarget t: f32[batch, 6]"
    + HEAD
    + """
require squared_error(2 * x, t)
output logits = out(dense(x, 4), 8)"""
    + LOSS,
    "a set of all samples": "input x: f32[batch, 6]"
    + HEAD
    + """
h = dense(x, 4)
require h in ball(1)
output logits = out(h, 8)"""
    + LOSS,
}


def run(network: str, mesh: str, dtype: str, batch: int) -> dict[str, Any]:
    """Return what a case gives."""
    import numpy as np

    import pjc

    settings = {"batch": batch, "solver": "sweep", "dtype": dtype}
    one = pjc.compile(NETWORKS[network], **settings)
    many = pjc.compile(NETWORKS[network], mesh=mesh, **settings)
    params, data = one.init(0), data_of(one)
    weights = np.random.default_rng(0).uniform(0, 2, batch)
    weights[3] = 0
    found = {}
    for name, more in (("plain", {}), ("weighted", {"sample_weight": weights})):
        expected, info = one.displacement(params, *data, **more)
        moved, told = many.displacement(params, *data, **more)
        size = max(float(np.max(np.abs(value))) for value in expected.values())
        assert size > 1e-3, "nothing moves, so that nothing is compared"
        found[name] = largest_difference(expected, moved) / size
        for each in ("demand", "loss"):
            found[f"{name} {each}"] = abs(float(info[each]) - float(told[each]))
    return found


def main() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={DEVICES}"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import jax

    for case in json.loads(sys.argv[1]):
        with jax.enable_x64("f64" in case):
            print(json.dumps({"case": case, **run(*case)}), flush=True)


if __name__ == "__main__":
    main()
