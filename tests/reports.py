"""Networks of which reports are written, and reports of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pjc.driver import Compilation, compile_text
from pjc.options import Options
from pjc.report.page import data_of, page
from pjc.report.record import record
from pjc.sources import open_source

LAYERS = """
input x: f32[batch, 4]
target y: class[batch, 3]
def dense(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}
param b: f32[5] = zeros
h = sum_relu(dense(x, 5) + 1, b)
output logits = dense(h, 3)
require b in ball(3)
require cross_entropy(logits, y)
"""
LOOP = """
const T = 6
input x: f32[batch, T, 3]
target y: class[batch, T, 2]
param w: f32[7, 4] = he_normal
param v: f32[4, 2] = he_normal
h = full((batch, 4), 0)
for t in 0..T {
  h = sum_relu(concat(x[:, t], h) @ w)
  states = h
}
output logits = transpose(states, (1, 0, 2)) @ v
require cross_entropy(logits, y)
"""
HOSTILE = (
    "</script><script>window.hit=1</script>",
    "<img src=x onerror=window.hit=2>",
    "'-window.hit-'&quot;&lt;b&gt;\\\"><svg onload=window.hit=3>",
    "{{7*7}} ${window.hit=4} `window.hit=5`",
    "long" * 3000,
    "\u202ereversed\u202c <!-- --> \u2028]]>",
)
"""Names that would break a page, or run something in it."""


def deep(layers: int) -> str:
    """Return the text of a network of so many layers, no two of one width, so that none becomes a loop."""
    lines = ["input x: f32[batch, 4]", "target y: class[batch, 3]", "h = x"]
    width = 4
    for layer in range(layers):
        above, width = width, 5 + layer
        lines += [
            f"param w{layer}: f32[{above}, {width}] = he_normal",
            f"param b{layer}: f32[{width}] = zeros",
            f"h{layer} = sum_relu({'h' if layer == 0 else f'h{layer - 1}'} @ w{layer}, b{layer})",
        ]
    lines += [f"output logits = h{layers - 1} @ last", "require cross_entropy(logits, y)"]
    return "\n".join([*lines[:-2], f"param last: f32[{width}, 3] = he_normal", *lines[-2:]]) + "\n"


@cache
def compiled(text: str, solver: str = "sweep") -> Compilation:
    """Return the compilation of a text for a batch of 8."""
    return compile_text(text, Options(batch=8, solver=solver), file="net.pjn")


@cache
def report(text: str, solver: str = "sweep") -> Any:
    """Return what the report of a text holds, as the page has it."""
    return data_of(page(record(compiled(text, solver))))


def hostile(folder: Path) -> Compilation:
    """Return the compilation of a network in which operations, parameters and inputs have such names."""
    text = str(compiled(LAYERS).at("net"))
    old = ("dense_0.matmul", "dense_0.weight", "sum_relu", "dense_1.matmul", "x", "logits")
    for name, new in zip(old, HOSTILE, strict=True):
        assert f'"{name}"' in text
        text = text.replace(f'"{name}"', '"{}"'.format(new.replace("\\", "\\\\").replace('"', '\\"')))
    path = folder / "<b onclick=window.hit=6>.mlir"
    path.write_text(text, encoding="utf-8")
    return Compilation(open_source(path), Options())
