"""What is traced on a mesh of samples and on one device; test_recording.py runs it as a process.

``python trace_meshes.py CASES`` with cases as JSON, ``[[network, solver], ..]``, prints a line of JSON:
the largest difference of what is told, relative to its size, and whether telling changes a bit on the mesh.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mesh_cases import BATCH, DEVICES, NETWORKS, data_of

SMALL = 1e-3
"""Differences are relative to a number's size and so much."""


def run(network: str, solver: str) -> dict[str, Any]:
    """Return what a case gives."""
    import numpy as np

    import pjc

    settings = {"batch": BATCH, "solver": solver, **({} if solver == "sweep" else {"iterations": 10})}
    one = pjc.compile(NETWORKS[network], **settings).telling()
    plain = pjc.compile(NETWORKS[network], mesh=f"sample={DEVICES}", **settings)
    params, batch = one.init(0), data_of(one)
    programs = one, plain.telling(), plain
    found = [(each.displacement if each.sweeps else each.update)(params, *batch) for each in programs]
    (_, info), (told, there), (expected, _) = found
    differences = [
        np.max(np.abs(np.asarray(value) - there["trace"][measure][node]) / (SMALL + np.abs(value)))
        for measure, nodes in info["trace"].items()
        for node, value in nodes.items()
    ]
    same = [np.asarray(told[name]).tobytes() == np.asarray(expected[name]).tobytes() for name in expected]
    return {"difference": float(max(differences)), "same bits": all(same)}


def main() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={DEVICES}"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    for case in json.loads(sys.argv[1]):
        print(json.dumps({"case": case, **run(*case)}), flush=True)


if __name__ == "__main__":
    main()
