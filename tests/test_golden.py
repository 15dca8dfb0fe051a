"""The unfused lowering in float64 against iterates of the reference software (golden/README.md).

Each ``golden/NAME.npz`` holds data, parameters before, and parameters after 1, 2, 5 and 20 iterations of
each solver that it lists; ``golden/NAME.pjn`` is the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import pjc

FOLDER = Path(__file__).parent / "golden"
SOLVERS: dict[str, dict[str, object]] = {
    "ap": {"solver": "ap"},
    "ar": {"solver": "ar"},
    "dr": {"solver": "dr"},
    "dr0.3": {"solver": "dr", "relaxation": 0.3},
    "dm1": {"solver": "dm", "beta": 1.0},
    "dm0.5": {"solver": "dm", "beta": 0.5},
    "cp": {"solver": "cp"},
    "cdr": {"solver": "cdr"},
}
TOLERANCE = 1e-9
NAMES = {
    "rectifier.bias": "relu.bias",
    "conv_0.linear_0.weight": "conv_0.linear.weight",
    "conv_1.linear_0.weight": "conv_1.linear.weight",
}
"""What the reference calls parameters that have another name in the language."""


def cases() -> Iterator[tuple[str, str]]:
    for path in sorted(FOLDER.glob("*.npz")):
        with np.load(path) as golden:
            solvers = {key.split("/")[1] for key in golden if key.startswith("out/")}
        yield from ((path.stem, solver) for solver in sorted(solvers))


CASES = list(cases())


def test_all_networks_and_their_solvers_are_here() -> None:
    assert len({name for name, _ in CASES}) == 8
    assert len(CASES) == 32
    assert {solver for _, solver in CASES} == set(SOLVERS)


@pytest.mark.parametrize(("name", "solver"), CASES)
def test_iterates_equal_the_reference(name: str, solver: str) -> None:
    golden = dict(np.load(FOLDER / f"{name}.npz"))
    with jax.enable_x64(True):
        program = pjc.compile(
            FOLDER / f"{name}.pjn", batch=len(golden["x"]), dtype="f64", level=0, **SOLVERS[solver]
        )
        before = {name: golden[f"in/{NAMES.get(name, name)}"] for name in program.init(0)}
        assert len(before) == sum(key.startswith("in/") for key in golden)
        logits = program.apply(before, golden["x"])
        np.testing.assert_allclose(logits, golden["logits"], rtol=0, atol=TOLERANCE)
        for iterations in (1, 2, 5, 20):
            after, _ = program.update(before, golden["x"], golden["y"], iterations=iterations)
            assert sorted(after) == sorted(before)
            for key, value in after.items():
                expected = golden[f"out/{solver}/{iterations}/{NAMES.get(key, key)}"]
                np.testing.assert_allclose(value, expected, rtol=0, atol=TOLERANCE, err_msg=key)


def test_one_step_of_rrr_with_b_one_is_dr() -> None:
    """``x + (P_B(2 P_A x - x) - P_A x)`` is ``(x + R_B R_A x) / 2``."""
    golden = dict(np.load(FOLDER / "mlp_skip.npz"))
    with jax.enable_x64(True):
        before = {key.removeprefix("in/"): golden[key] for key in golden if key.startswith("in/")}
        rrr = pjc.compile(
            FOLDER / "mlp_skip.pjn", batch=len(golden["x"]), dtype="f64", solver="rrr", step=1.0, level=0
        )
        after, _ = rrr.update(before, golden["x"], golden["y"], iterations=20)
        for key, value in after.items():
            np.testing.assert_allclose(value, golden[f"out/dr/20/{key}"], rtol=0, atol=TOLERANCE)
