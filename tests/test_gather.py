"""Rows by number: the solvers against programs in which the same rows are slices written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_text
from pjc.options import Options
from pjc.passes.solvers import of_kind
from pjc.runtime.data import DataError, fit, from_arrays
from pjc.runtime.data.normalize import Normalize
from pjc.runtime.program import ProgramError

BATCH, LENGTH, ROWS = 3, 4, 7

NETWORK = """\
{inputs}
target y: class[batch, 3]
param table: f32[7, 2] = normal(1)
param mix: f32[2, 2] = normal(1)
param out: f32[14, 3] = normal(1)
param direct: f32[2, 1] = normal(1)
e = {all}                                    # table, read at all positions
odd = {odd}                                  # again, every second position, in another order
table2 = relu(table @ mix)                   # a computed table
first = {first}
flat = concat(reshape(e, (batch, 8)), reshape(odd, (batch, 4)), first)
logits = flat @ out + broadcast(sum(table @ direct, axis = (0, 1)), (batch, 3))
output logits
require margin(logits, y)
"""
DYNAMIC = NETWORK.format(
    inputs="input tokens: int[batch, 4]",
    all="embedding(table, tokens)",
    odd="gather(table, transpose(tokens[:, ::2]))",
    first="gather(table2, tokens[:, 0])",
)


def rows(table: str, numbers: np.ndarray) -> str:
    """Return an expression for the rows of a table that are known beforehand."""
    cut = ", ".join(f"{table}[{n}:{n + 1}]" for n in numbers.ravel())
    return f"reshape(concat({cut}, axis = 0), {(*numbers.shape, 2)})"


def static(tokens: np.ndarray) -> str:
    return NETWORK.format(
        inputs="input x: f32[batch]",
        all=rows("table", tokens),
        odd=rows("table", tokens[:, ::2].T),
        first=rows("table2", tokens[:, 0]),
    )


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Return tokens of which some repeat and row 6 never comes, and labels."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, ROWS - 1, (BATCH, LENGTH)).astype(np.int32)
    return tokens, rng.integers(0, 3, BATCH).astype(np.int32), rng


def iterated(text: str, options: Options, params: Any, data: dict[str, Any], iterations: int) -> Any:
    """Return what an update gives, compiled without XLA's slower passes."""
    program = compile_text(text, options).program()
    lowered = program.jitted("update").lower(params, data, np.int32(iterations))
    run = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    return run(params, data, np.int32(iterations))


QUICK = ("ap-2", "dr-factored", "cp-0")
CASES: dict[str, dict[str, Any]] = {
    **{f"{solver}-0": {"solver": solver, "level": 0} for solver in of_kind(outer=False)},
    **{f"{solver}-2": {"solver": solver, "level": 2} for solver in ("ap", "dr", "cp")},
    "dr-1": {"solver": "dr", "level": 1},
    "dr-factored": {"solver": "dr", "copies": "factored"},
    "rrr-0.7": {"solver": "rrr", "step": 0.7},
}
PARAMETERS = [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CASES]


@pytest.mark.parametrize("name", PARAMETERS)
def test_iterates_equal_those_of_static_slices(name: str) -> None:
    with jax.enable_x64(True):
        tokens, y, rng = drawn(1)
        options = Options(batch=BATCH, dtype="f64", **CASES[name])
        program = compile_text(DYNAMIC, options).program()
        params = {spec.name: rng.normal(size=spec.shape) for spec in program.parameters}
        after, info = iterated(DYNAMIC, options, params, {"tokens": tokens, "y": y}, 12)
        other = {"x": np.zeros(BATCH), "y": y}
        expected, expected_info = iterated(static(tokens), options, params, other, 12)
        assert any(np.abs(expected[label] - params[label]).max() > 1e-3 for label in params)
        for label, value in expected.items():
            np.testing.assert_allclose(after[label], value, rtol=0, atol=1e-10, err_msg=label)
        np.testing.assert_allclose(info["gap"], expected_info["gap"], rtol=1e-9)


def test_rows_that_no_index_names_stay_and_repeated_ones_share() -> None:
    """One iteration of ap by hand: a row's copies are averaged, an unread row keeps its value."""
    text = (
        "input tokens: int[3]\ntarget y: class[3, 2]\nparam table: f32[4, 2] = normal(1)\n"
        "output z = gather(table, tokens)\nrequire margin(z, y, low = -1, high = 1)\n"
    )
    with jax.enable_x64(True):
        program = compile_text(text, Options(solver="ap", dtype="f64")).program()
        table = np.arange(8.0).reshape(4, 2) / 10
        after, _ = program.update({"table": table}, np.array([2, 0, 2]), np.array([0, 0, 1]), iterations=1)
        expected = table.copy()
        expected[0] = (1, -1)
        expected[2] = (0, 0)  # the mean of (1, -1) and (-1, 1)
        np.testing.assert_allclose(after["table"], expected, atol=1e-12)


@pytest.mark.slow
def test_apply_takes_rows_in_every_batch_and_artifacts_hold_it(tmp_path: Path) -> None:
    program = pjc.compile(DYNAMIC, batch=BATCH, solver="dr")
    tokens, y, _ = drawn(2)
    params = program.init(0)
    table2 = np.maximum(params["table"] @ params["mix"], 0)
    odd = np.asarray(params["table"])[tokens[:, ::2].T].reshape(BATCH, 4)
    flat = [np.asarray(params["table"])[tokens].reshape(BATCH, 8), odd, table2[tokens[:, 0]]]
    logits = np.concatenate(flat, 1) @ params["out"] + (params["table"] @ params["direct"]).sum()
    np.testing.assert_allclose(program.apply(params, tokens), logits, rtol=1e-4, atol=1e-5)
    program.save(tmp_path / "rows.pjx")
    again = pjc.load(tmp_path / "rows.pjx")
    assert again.inputs == program.inputs and again.inputs[0].classes == ROWS
    np.testing.assert_allclose(again.apply(params, tokens), logits, rtol=1e-4, atol=1e-5)
    assert again.apply(params, tokens[:2, :]).shape == (2, 3)
    for name, value in program.update(params, tokens, y, iterations=3)[0].items():
        found = again.update(params, tokens, y, iterations=3)[0][name]
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


def test_indices_out_of_range_are_refused() -> None:
    program = pjc.compile(DYNAMIC, batch=BATCH, solver="dr")
    tokens, y, _ = drawn(0)
    params = program.init(0)
    for wrong in (7, -1):
        with pytest.raises(ProgramError, match=r"'tokens' holds numbers from .*must be from 0 to 6"):
            program.update(params, np.where(tokens == tokens[0, 0], wrong, tokens), y)
    with pytest.raises(ProgramError, match="'tokens' takes whole numbers"):
        program.apply(params, tokens + 0.5)
    traced = jax.jit(program.apply)(params, np.full_like(tokens, 9))
    assert np.isnan(traced).all()  # where nothing can be raised


def test_data_must_hold_row_numbers() -> None:
    program = pjc.compile(DYNAMIC, batch=BATCH, solver="dr")
    source, target = program.inputs[0], program.targets[0]
    tokens, y, _ = drawn(0)
    data = fit(from_arrays(tokens, y, "text"), source, target)
    assert data.x.dtype == np.int32 and np.array_equal(data.x, tokens)
    with pytest.raises(
        DataError, match="run from 1 to 7, but 'tokens' takes the numbers of rows from 0 to 6"
    ):
        fit(from_arrays(np.where(tokens == tokens.max(), 7, tokens + 1), y, "text"), source, target)
    with pytest.raises(DataError, match="have fractions; are they normalized"):
        fit(from_arrays(tokens / 2, y, "text"), source, target)
    with pytest.raises(DataError, match="leave out --normalize"):
        Normalize.measure(data, "standard")


HEAD = "input t: int[batch, 5]\ninput x: f32[batch, 5]\ntarget y: class[batch, 5]\n"
MISUSES = {
    "z = t + t": "indices are no numbers to compute with",
    "z = t @ transpose(x)": "indices are no numbers to compute with",
    "z = relu(t)": "indices are no numbers to compute with",
    "output t": "indices are no numbers to compute with",
    "require cross_entropy(t, y)": "indices are no numbers to compute with",
    "z = gather(x, x)": "the indices of a gather must be int",
    "z = gather(t, t)": "a gather takes rows of a table of numbers, and these are indices",
    "z = gather(x[0, 0], t)": "a gather takes rows of a table of rank 1 or more, found a scalar",
    "z = pad(t, ((0, 0), (1, 0)))": "indices cannot be padded",
    "z = concat(t, x)": "indices and numbers cannot be joined in one tensor",
    "param w: int[3] = zeros": "unknown element type 'int'",
    "target z: int[batch]": "unknown element type 'int'",
}


@pytest.mark.parametrize("line", MISUSES)
def test_misuses_are_reported(line: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        compile_text(HEAD + line + "\noutput x\n").at("net")
    (found,) = caught.value.diagnostics
    assert found.message == MISUSES[line]
    assert found.span is not None and found.span.line == 4


def test_views_of_indices_are_views_of_rows() -> None:
    views = ["t[1:, ::2]", "transpose(t)", "reshape(t, -1)", "concat(t, t[:, :1])", "broadcast(t, (2, 3, 5))",
             "stack(t, t)"]  # fmt: skip
    outputs = "".join(f"output z{i} = gather(table, {view})\n" for i, view in enumerate(views))
    program = pjc.compile(HEAD + "param table: f32[6, 2, 3] = normal(1)\n" + outputs, batch=3)
    assert "view.gather" in program.ir("feas") and program.inputs[0].classes == 6
    t = np.random.default_rng(0).integers(0, 6, (3, 5)).astype(np.int32)
    params = program.init(0)
    table = np.asarray(params["table"])
    found = program.apply(params, t, np.zeros((3, 5)))
    expected = [
        t[1:, ::2],
        t.T,
        t.ravel(),
        np.concatenate([t, t[:, :1]], 1),
        np.stack([t, t]),
        np.stack([t, t]),
    ]
    for name, numbers in zip(found, expected, strict=True):
        np.testing.assert_array_equal(found[name], table[numbers], err_msg=name)
