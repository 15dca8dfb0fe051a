"""What a notebook shows of a program."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pjc
from pjc import notebook
from pjc.runtime.program import Program, Services

NET = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 5] = he_normal
param b: f32[5] = zeros
param v: f32[5, 3] = he_normal
require v in ball(3)
h = sum_relu(x @ w, b)
output logits = h @ v
require cross_entropy(logits, y)
"""
SVG = "{http://www.w3.org/2000/svg}"


def parts(program: Any) -> tuple[list[list[str]], ElementTree.Element | None]:
    """Return the cells of the table, and the picture."""
    page = ElementTree.fromstring(program._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    return rows, page.find(f"{SVG}svg")


def test_a_program_is_a_table_and_a_picture() -> None:
    program = pjc.compile(NET, batch=8, solver="dr")
    (head, *rows), picture = parts(program)
    assert head == ["layer", "shape", "parameters", "constraint", "form", "bytes"]
    by_name = {row[0]: row for row in rows}
    assert by_name["w"][1:4] == ["[4, 5]", "20", ""] and by_name["v"][1:4] == ["[5, 3]", "15", "ball"]
    assert by_name["sum_relu"][1:4] == ["[8, 5]", "", "sum_relu"]
    assert by_name["sum_relu"][5] == str(2 * 8 * 5 * 4)  # two operands, float32
    assert by_name["matmul"][3:5] == ["dot", "held"]
    assert by_name["total"][2] == "40"
    assert picture is not None
    names = {each.text.partition(":")[0] for each in picture.iter(f"{SVG}title") if each.text}
    assert {"x", "y", "w", "b", "v", "matmul", "sum_relu", "matmul_1", "cross_entropy"} <= names


def test_edges_go_from_what_is_read_through_views() -> None:
    program = pjc.compile(NET, batch=8)
    module = notebook.parse_module(notebook.context(), program.ir("net"), "net")
    nodes = [op for op in module.walk() if isinstance(op, notebook.NodeOp | notebook.SourceOp)]
    names = [notebook.name_of(op) for op in nodes]
    edges = {(names[one], names[other]) for one, other in notebook.graph(nodes).edges}
    assert edges >= {("x", "matmul"), ("w", "matmul"), ("matmul", "sum_relu"), ("b", "sum_relu")}
    assert ("b", "matmul") not in edges


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a"b', "a&b"])
def test_every_name_is_text(name: str) -> None:
    program = pjc.compile(NET, batch=8)
    written = name.replace('"', '\\"')
    text = program.ir("net").replace('"w"', f'"{written}"')
    renamed = Program(program.signature, {}, {"net": text}, Services(page=notebook.page))
    rows, picture = parts(renamed)
    assert name in [row[0] for row in rows] and picture is not None
    assert "<script>" not in notebook.page(renamed)


def test_others_are_shown_too(tmp_path: Path) -> None:
    program = pjc.compile(NET, batch=8)
    program.save(tmp_path / "n.pjx")
    assert pjc.load(tmp_path / "n.pjx")._repr_html_() == program._repr_html_()
    traced = pjc.trace(
        lambda w, x: x @ w, np.ones((4, 3), "f"), pjc.f32["batch", 4], loss=pjc.cross_entropy(), batch=2
    )
    assert parts(traced)[1] is not None
    loop = "input x: f32[batch, 4]\nparam w: f32[3, 4, 4] = he_normal\nh = x\nfor i in 0..3 {\n"
    loop += "  h = relu(h @ w[i])\n}\noutput h\nrequire squared_error(h, x)\n"
    assert parts(pjc.compile(loop, batch=2))[0][-1][2] == "48"
    behind = pjc.compile(program.ir("feas"))
    assert parts(behind) == ([], None)


def test_a_large_graph_is_a_table_alone() -> None:
    lines = ["input x: f32[batch, 4]", "h0 = x"]
    lines += [f"h{at} = relu(h{at - 1} + {at}.5 * x)" for at in range(1, 140)]
    program = pjc.compile("\n".join([*lines, "output h139", ""]), batch=2)
    rows, picture = parts(program)
    assert len(rows) > 140 and picture is None
