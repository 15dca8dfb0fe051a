"""Numbers that no network can hold are refused when they are read, wherever they come from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.formats import NET as LINEAR

from pjc.builder import Network
from pjc.diagnostics import DiagnosticError, PjcError
from pjc.dialects.shapes import ShapeError
from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.sources import open_source

NET = f"{LINEAR}require w in ball(0.5)\n"
LARGEST = float(np.finfo(np.float32).max)

PLACES = {
    "a parameter's start": ("normal(0.4)", "constant({})"),
    "a product of two": ("normal(0.4)", "1e30 * normal({} / 1e30 * 1e10)"),
    "a factor": ("x @ w", "({} * x) @ w"),
    "a term": ("x @ w", "(x - {}) @ w"),
    "a strength": ("(z, y)", "(z, y, strength={})"),
    "a radius": ("ball(0.5)", "sphere({})"),
    "levels": ("ball(0.5)", "levels(0, 1, {})"),
    "bounds": ("ball(0.5)", "box(-{}, 1)"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", ["1e300", "3.5e38"])
def test_what_is_too_large_for_f32_is_refused_at_its_place(place: str, number: str) -> None:
    before, after = PLACES[place]
    with pytest.raises(
        DiagnosticError, match=r"<string>:\d+:\d+: error.PJC0103.: the number .* too large for f32"
    ):
        compile_text(NET.replace(before, after.format(number)), Options(batch=4)).at("net")


def test_the_largest_number_and_f64_hold() -> None:
    compile_text(NET.replace("0.5", "3.4e38"), Options(batch=4)).at("net")
    compile_text(NET.replace("0.5", "1e300"), Options(batch=4, dtype="f64")).at("net")


@pytest.mark.parametrize("number", ["1_0", "٣", "²", "1²", "１"])
@pytest.mark.parametrize("place", ["0.4", "6", "0.5"])
def test_numbers_of_the_language_are_ascii_decimals(number: str, place: str) -> None:
    with pytest.raises(DiagnosticError, match=r"error\[PJC010[12]\]: (unexpected character|expected ',')"):
        compile_text(NET.replace(place, number), Options(batch=4)).at("net")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("1.0e300", "op.set: the number 1e\\+300 is too large for f32"),
        ("-3.5e38", "radius"),
        ("٣", r"m.mlir:\d+:\d+: error\[PJC0601\]: the character U\+0663 cannot stand here"),
        ("²", r"m.mlir:\d+:\d+: error\[PJC0601\]: the character U\+00B2 cannot stand here"),
        ("1_0.0", r"m.mlir:\d+:\d+: error"),
    ],
)
def test_numbers_of_ir(tmp_path: Path, number: str, said: str) -> None:
    text = str(compile_text(NET, Options(batch=4)).at("net"))
    path = tmp_path / "m.mlir"
    path.write_text(text.replace("5.000000e-01", number), encoding="utf-8")
    with pytest.raises(DiagnosticError, match=said):
        Compilation(open_source(path), Options()).at("net")
    path.write_text(f'// ² ٣ "\n{text}', encoding="utf-8")
    assert Compilation(open_source(path), Options()).at("net") is not None


def built(
    init: str = "zeros", factor: float = 1.0, strength: float = 1.0, of: tuple[str, Any] = ("ball", 1)
) -> None:
    net = Network("m", batch=4)
    x, y = net.input("x", (4, 6)), net.target("y", (4,), classes=3)
    w = net.parameter("w", (6, 3), init)
    z = net.matmul(net.weighted([x], [factor]), w)
    net.require_cross_entropy(z, y, strength=strength)
    net.output("z", z)
    net.require_in(w, *of)
    net.module()


@pytest.mark.parametrize("number", [1e300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["factor", "strength", "of"])
def test_numbers_of_the_builder(where: str, number: float) -> None:
    given: Any = ("equal", [[number] * 3] * 6) if where == "of" else number
    with pytest.raises(ShapeError, match=r"too large for f32|finite"):
        built(**{where: given})


@pytest.mark.parametrize("init", ["constant(1e300)", "1e30 * normal(1e30)", "constant(nan)", "inf * zeros"])
def test_initializers_of_the_builder(init: str) -> None:
    built("constant(3e38)")
    with pytest.raises(ShapeError, match=r"too large for f32|not finite"):
        built(init)


@pytest.mark.parametrize("init", ["constant(1_0)", "normal(٣)", "² * zeros"])
def test_texts_of_the_builder(init: str) -> None:
    with pytest.raises(ShapeError, match="is no initializer"):
        built(init)


@pytest.mark.parametrize(
    "of", [("ball", "10"), ("levels", "12"), ("equal", "٣"), ("mask", "ab"), ("ball", True)], ids=str
)
def test_texts_are_no_numbers_of_sets(of: tuple[str, Any]) -> None:
    with pytest.raises(ShapeError, match="must be"):
        built(of=of)


@pytest.mark.parametrize("given", [1e300, "1e300", ["1e300"], {"w": 1e300}, ["w=4e38"]], ids=str)
def test_rates_that_are_too_large(given: Any) -> None:
    with pytest.raises(PjcError, match="too large for f32"):
        Options(outer="sgd", rate=given)


@pytest.mark.parametrize("name", ["weight_decay", "clip", "step", "beta"])
def test_options_that_are_too_large(name: str) -> None:
    with pytest.raises(PjcError, match="too large for f32"):
        Options(**{name: 1e300})


@pytest.mark.parametrize("text", ["sweep{step=1_0}", "sweep{step=٣}", "sweep{step=nan}", "dr{step=1e300}"])
def test_numbers_in_the_text_of_a_solver(text: str) -> None:
    with pytest.raises(PjcError, match=r"no number=value|expected a number|takes no"):
        Options(solver=text)
