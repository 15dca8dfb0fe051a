"""What the recipes of docs/extending.md add, used as a user does.

test_extending.py runs this in copies of the package that have it; in the checkout nothing of it is there.
"""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from math import comb
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import pjc
from pjc.builder import Network
from pjc.cli import main
from pjc.dialects import ops
from pjc.runtime.data import DataError, load

ROOT = Path(__file__).resolve().parent.parent
HEAD = "input x: f32[batch, 3]\ntarget y: f32[batch, 2]\n"
REGRESSION = (
    HEAD
    + """
param w: f32[3, 4] = normal(0.5)
param v: f32[4, 2] = normal(0.5)
output z = relu(x @ w) @ v
require squared_error(z, y)
"""
)


def batch(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(8, 3)).astype(dtype), generator.normal(size=(8, 2)).astype(dtype)


def refused(*arguments: Any, **options: Any) -> str:
    """Return what is said of a wrong network, or of wrong options."""
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.compile(*arguments, **options)
    return str(caught.value)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Return what the command line prints."""
    capsys.readouterr()
    try:
        found = main(arguments)
    except SystemExit as stop:
        found = int(stop.code or 0)
    output = capsys.readouterr()
    assert found == status, output.err
    return " ".join((output.out + output.err).split())


def test_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        HEAD
        + """
param w: f32[3, 2] = normal(0.5)
h = scaled(x @ w, by = 3)
for t in 0..2 {
  h = scaled(h)
}
output h
require squared_error(h, y)
"""
    )
    program = pjc.compile(text, batch=8, solver="dr")
    params, (x, y) = program.init(0), batch()
    np.testing.assert_allclose(program.apply(params, x), 12 * (x @ params["w"]), rtol=1e-5)
    after, _ = program.update(params, x, y, iterations=20)
    losses = [float(np.sum((program.apply(each, x) - y) ** 2)) for each in (params, after)]
    assert losses[1] < 0.9 * losses[0]
    assert 'op.scaled "scaled" %matmul by 3.000000e+00 part' in program.ir("feas")

    assert "<string>:1:" in refused("output z = scaled(2)\n") and "<string>:2:" in refused(
        HEAD.splitlines()[0] + "\noutput z = scaled(x, to = 2)\n"
    )

    net = Network("m", batch=8)
    net.output("z", net.elementwise(ops.ScaledOp, net.input("x", (8, 3)), by=3))
    assert 'op.scaled "scaled" %x by 3.000000e+00 :' in str(net.module())

    program.save(tmp_path / "m.pjx")
    np.testing.assert_array_equal(pjc.load(tmp_path / "m.pjx").apply(params, x), program.apply(params, x))
    with pytest.raises(pjc.DiagnosticError, match="ONNX has no operator"):
        program.to_onnx(params, tmp_path / "m.onnx")

    section = generated("constraints.md", tmp_path, monkeypatch).partition("### scaled\n")[2]
    assert section.strip().startswith("`{(x, z) : z = by x}`")
    assert "Solution: `x' = (x + by z) / (1 + by^2)`" in section.partition("###")[0]


AFFINE = """
input x: f32[batch, 2]
target y: f32[batch, 2]
param b: f32[2] = uniform(-1, 1)
output z = 2 * x + b
require squared_error(z, y)
"""


def iterates(solver: str, count: int) -> np.ndarray:
    """Return the parameters of a network with affine projections after 0, 1, .. iterations."""
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        program = pjc.compile(AFFINE, batch=8, dtype="f64", solver=solver)
        params, data = program.init(0), generator.normal(size=(2, 8, 2))
        later = [program.update(params, *data, iterations=each + 1)[0] for each in range(count)]
        return np.array([each["b"] for each in (params, *later)])


def test_solver(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.pjn").write_text(REGRESSION)
    model = str(tmp_path / "m.pjn")
    after_ap = iterates("ap", 4)
    assert np.max(np.abs(after_ap[4] - after_ap[0])) > 0.1
    # Of an affine map T: ((1 - w) I + w T)^k, written out in powers of T.
    shares = [comb(4, power) * 1.4**power * (1 - 1.4) ** (4 - power) for power in range(5)]
    np.testing.assert_allclose(iterates("rap{omega=1.4}", 4)[4], np.dot(shares, after_ap), atol=1e-12)

    assert "expected a number above 0, below 1.5, found 2" in refused(REGRESSION, solver="rap", omega=2)
    assert "omega is given twice" in refused(REGRESSION, solver="rap{omega=1}", omega=1.2)
    assert "the solver ap takes no omega" in refused(REGRESSION, solver="ap", omega=1.2)
    said = printed(capsys, model, "--solver", "rap", "--omega", "2", status=2)
    assert "expected a number above 0, below 1.5, found '2'" in said
    said = printed(capsys, model, "--solver", "dr", "--omega", "1", status=1)
    assert "the solver dr takes no omega" in said and "it is a number of rap" in said

    for command in ((), ("train",)):
        text = printed(capsys, *command, "--help")
        assert "sweep, stream, rap; also" in text
        assert "--omega W the relaxation w of rap, above 0, below 1.5 (default: 1.25)" in text
    text = printed(capsys, model, "--solver", "rap", "--omega", "1.4", "--emit", "proj")
    assert 'proj.iterate "rap{omega=1.4}"' in text and "proj.combine [1.400000e+00," in text
    assert printed(capsys, model, "--solver", "rap{omega=1.4}", "--emit", "proj") == text
    page = generated("options.md", tmp_path, monkeypatch)
    assert "| `--omega` W | `omega` | a number above 0, below 1.5 | 1.25 | the relaxation w of rap" in page


def test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = REGRESSION + "require w in grid(0.25)\nrequire v in grid(step = 0.5, rate = 50)\n"
    program = pjc.compile(text, batch=8, solver="dr")
    params = program.init(0)
    for _ in range(3):
        params, info = program.update(params, *batch(), iterations=10)
    assert info["violation"].keys() == {"w.grid", "v.grid"}
    for name, step in (("w", 0.25), ("v", 0.5)):
        value = np.asarray(params[name])
        assert np.any(value != 0)
        np.testing.assert_array_equal(value, np.round(value / step) * step)

    assert "<string>:8:" in refused(REGRESSION + "require w in grid(0)\n")
    assert "expected positive" in refused(REGRESSION + "require w in grid(-1)\n")
    assert "by" in refused(REGRESSION + "require w in grid(by = 1)\n")

    net = Network("m", batch=8)
    w = net.parameter("w", (3, 4), "normal(1)")
    net.require_in(w, "grid", step=0.25)
    net.output("z", net.matmul(net.input("x", (8, 3)), w))
    fields = "{step = 2.500000e-01 : f64, rate = 1.000000e+02 : f64}"
    assert f'op.set "w.grid" %w in "grid" {fields}' in str(net.module())

    section = generated("constraints.md", tmp_path, monkeypatch).partition("### grid(step, rate)\n")[2]
    assert "Ties: halfway between two multiples the even one." in section.partition("###")[0]


def test_source(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = REGRESSION.replace("y: f32[batch, 2]", "y: class[batch, 2]").replace("squared_error", "margin")
    Path("m.pjn").write_text(text)
    rows = [{"x": row, "y": int(row[0] > 0)} for row in batch()[0].tolist() * 5]
    Path("m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--batch", "4", "--epochs", "1")
    assert "test accuracy" in printed(capsys, "train", "m.pjn", "--data", "m.jsonl", *options)

    listed = 'FILE.jsonl a sample a line: {"x": [0.5, 1], "y": 3}'
    assert listed in printed(capsys, "train", "--help")
    page = generated("data.md", tmp_path, monkeypatch)
    row = '| `FILE.jsonl` | a sample a line: {"x": [0.5, 1], "y": 3} | '
    assert f"{row}`--normalize`, `--layout`, `--class-weight` |\n" in page

    for wrong in (
        "[1]",
        "{}",
        '{"x": 1, "y": 2}',
        '{"x": ["a"], "y": 2}',
        '{"x": [[1], 2], "y": 2}',
        '{"x": [1], "y": null}',
        "{",
        "\xff",
    ):
        Path("wrong.jsonl").write_bytes(b'{"x": [1, 2, 3], "y": 0}\n' + wrong.encode("latin-1"))
        with pytest.raises(DataError, match=r"wrong\.jsonl:2: (expected .*, found|a sample of shape)"):
            load("wrong.jsonl")
    Path("wrong.jsonl").write_text('{"x": [1, 2, 3], "y": 0}\n{"x": [[1, 2, 3]], "y": 0}\n')
    with pytest.raises(DataError, match=r"jsonl:2: a sample of shape \(1, 3\), the first is \(3,\)"):
        load("wrong.jsonl")
    said = printed(capsys, "train", "m.pjn", "--data", "m.jsonl", "--force", "--target", "y", status=1)
    assert "--target names a column of" in said and "but the data is 'm.jsonl'" in said
    assert "a file of JSON lines" in printed(capsys, "train", "m.pjn", "--force", "--data", "none", status=1)


def test_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "m.pjn"
    model.write_text("input x: f32[batch, 3]\nh = identity(x)\nz = round(identity(h))\noutput z\n")
    assert printed(capsys, "opt", str(model)).count("op.identity") == 2
    text = printed(capsys, "opt", str(model), "-p", "net-drop-identities")
    assert "op.identity" not in text and 'op.round "round" %x' in text
    text = printed(capsys, "opt", str(model), "-p", 'label,drop-identities{kept="identity_1"}')
    assert text.count("op.identity") == 1 and 'op.identity "identity_1" %x' in text

    page = generated("passes.md", tmp_path, monkeypatch)
    section = page.partition("## net-drop-identities\n")[2].partition("\n## ")[0]
    assert "Replace identities in networks by what they are of." in section
    assert "- `kept` (default `()`): Labels of identities that stay." in section


def generated(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a page as docs/reference.py writes it."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    monkeypatch.setattr(sys, "argv", ["reference.py", str(folder / "docs")])
    runpy.run_path(str(ROOT / "docs" / "reference.py"), run_name="__main__")
    return (folder / "docs" / name).read_text()
