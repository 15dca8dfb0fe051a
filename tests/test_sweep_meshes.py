"""Sweeps on meshes of devices: samples and columns are split, levels are not."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from mesh_cases import BATCH, DEVICES
from sweep_meshes import NETWORKS

from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_text
from pjc.mesh import factorizations, show
from pjc.options import Options

FOLDER = Path(__file__).resolve().parent
QUICK = [
    ("mlp", "sample=4,feature=2", "f64", BATCH),
    ("samples along a second axis", "sample=8", "f64", DEVICES),
    ("a set of all samples", "sample=8", "f64", DEVICES),
    ("a loss that nothing moves", "sample=4,feature=2", "f64", BATCH),
]
MESHES = [show(mesh) for mesh in factorizations(DEVICES) if mesh["stack"] == 1]
ALL = list(product(NETWORKS, MESHES, ("f32", "f64"), (BATCH, DEVICES)))
TOLERANCE = 1e-5


def on_eight_devices(cases: list[tuple[str, str, str, int]]) -> list[dict[str, Any]]:
    command = [sys.executable, str(FOLDER / "sweep_meshes.py"), json.dumps(cases)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(cases: list[tuple[str, str, str, int]]) -> None:
    found = on_eight_devices(cases)
    assert [tuple(each["case"]) for each in found] == cases
    for each in found:
        for name in ("plain", "weighted"):
            assert all(each[f"{name}{of}"] < TOLERANCE for of in ("", " demand", " loss")), each


def test_a_mesh_gives_the_displacement_of_one_device() -> None:
    check(QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_so_does_every_mesh(network: str) -> None:
    check([case for case in ALL if case[0] == network])


def test_the_stack_axis_is_refused_with_what_to_take() -> None:
    options = Options(solver="sweep", mesh="stack=2")
    told = r"one after another.*take sample or feature, --solver stream, .* or --solver dr or ap"
    with pytest.raises(DiagnosticError, match=told):
        compile_text(NETWORKS["mlp"], options).at("placed")
