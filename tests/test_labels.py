"""Labels: properties, unique after the stage net, which dumps keep and which mean one thing everywhere."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from pjc.commands import opt
from pjc.dialects import feas, net, ops
from pjc.dialects.loops import ForOp
from pjc.driver import Compilation, compile_file, compile_text
from pjc.ir_text import parse_ir
from pjc.options import Options
from pjc.passes.analysis.graph import only

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.pjn") if path.stem != "winner_bits")
"""All but one whose operator Python must register first."""
TWICE = """input x: f32[batch, 4]
target y: class[batch, 3]
def dense(x, n) {
  param w: f32[x.shape[-1], n] = he_normal
  return x @ w
}
a = relu(dense(x, 6) + full((6), 0.5))
b = relu(dense(x, 6) + full((6), 0.5))
for t in 0..3 { a = relu(a + b) }
output z = dense(a, 3)
require cross_entropy(z, y)
"""


def labels(module: object) -> list[str]:
    """Return the labels of operations, losses, sets and loops, in their order."""
    named = ops.OperationOp | ops.LossOp | ops.SetOp | ForOp
    found = [op.label for op in module.walk() if isinstance(op, named)]  # type: ignore[attr-defined]
    assert None not in found
    return [label.data for label in found if label is not None]


def run_opt(*arguments: str) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert opt.main(list(arguments)) == 0
    return output.getvalue()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_labels_are_unique_after_the_stage_net(path: Path) -> None:
    defines = {"features": 30} if path.stem == "binary_csv" else {}
    compilation = compile_file(path, Options(defines=defines))
    found = labels(compilation.at("net"))
    assert found and len(found) == len(set(found))


def test_operations_of_one_place_are_told_apart() -> None:
    found = labels(compile_text(TWICE).at("net"))
    assert [label for label in found if "matmul" in label] == [
        "dense_0.matmul",
        "dense_1.matmul",
        "dense_2.matmul",
    ]
    assert {"t", "sum_relu", "sum_relu_1", "sum_relu_2"} <= set(found)


def test_dumps_and_opt_keep_labels(tmp_path: Path) -> None:
    compilation = compile_text(TWICE)
    for stage in ("net", "feas"):
        file = tmp_path / f"{stage}.mlir"
        file.write_text(compilation.emit(stage))
        generic = tmp_path / f"{stage}.generic.mlir"
        generic.write_text(run_opt(str(file), "--print-op-generic"))
        wanted = labels(compilation.at(stage))
        for each in (file, generic):
            assert labels(parse_ir(run_opt(str(each)), "d.mlir")) == wanted


def test_the_problem_has_the_labels_of_the_network() -> None:
    compilation = compile_text(TWICE, Options(solver="dr"))
    known = set(labels(only(compilation.at("net"), net.NetworkOp)))
    added = set(labels(only(compilation.at("feas"), feas.ProblemOp))) - known
    assert added == {"sum_relu_2.identity"}  # between two readers of one part


def forms(module: object) -> dict[str, str]:
    """Return the form of each dot's copies, by label."""
    dots = [op for op in module.walk() if isinstance(op, ops.DotOp)]  # type: ignore[attr-defined]
    return {dot.called: dot.form for dot in dots}


def test_copies_by_label_mean_the_same_from_a_dump(tmp_path: Path) -> None:
    word = "dense_2.matmul=factored"
    asked = Compilation(compile_text(TWICE).source, Options(solver="dr", copies=("held", word)))
    _ = asked.at("proj")
    chosen = {each.label: each.choice.form for each in asked.explain()}
    assert chosen["dense_2.matmul"] == "factored" and set(chosen.values()) == {"held", "factored"}
    file = tmp_path / "net.mlir"
    file.write_text(asked.emit("net"))
    passes = "net-to-feas,feas-fuse,feas-legalize-bipartite,feas-bipartition"
    choose = f'choose-representation{{copies="held","{word}"}}'
    assert forms(parse_ir(run_opt(str(file), "-p", f"{passes},{choose}"), "d.mlir")) == chosen
