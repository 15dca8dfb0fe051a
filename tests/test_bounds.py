"""What is counted before work begins, and what passes say of valid IR that they cannot treat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.driver import compile_text
from pjc.ir_text import parse_ir
from pjc.options import Options
from pjc.passes.analysis.graph import only

NETWORK = (
    "input x: f32[batch, 4]\ntarget y: class[batch, 4]\nh = x\n%s\noutput h\nrequire cross_entropy(h, y)\n"
)


def nested(*counts: int) -> str:
    opened = "".join(f"for i{place} in 0..{count} {{\n" for place, count in enumerate(counts))
    closed = "}\n" * len(counts)
    return NETWORK % f"{opened}h = relu(h)\n{closed}"


@pytest.mark.parametrize(
    "counts, options",
    [
        ((1000, 1000, 1000), Options(batch=2, solver="dr")),
        ((1000,) * 4, Options(batch=2)),
        ((2**20,), Options(batch=2, solver="cp")),
        ((300, 300), Options(batch=2, unroll=True)),
    ],
)
def test_iterations_are_counted_before_loops_are_unrolled(counts: tuple, options: Options) -> None:
    with pytest.raises(DiagnosticError, match="more than 50,000 operations"):
        compile_text(nested(*counts), options).at("net")


@pytest.mark.parametrize("counts", [(3,), (2, 3), (100, 4)])
def test_few_iterations_are_unrolled(counts: tuple) -> None:
    assert str(compile_text(nested(*counts), Options(batch=2, unroll=True)).at("net")).count("sum_relu") > 2


LOOP = """net.network @loop dims {batch = 2 : i64} {
  %x = op.input "x" ["batch", "4"] : tensor<2x4xf32>
  %y = op.target "y" ["batch"] classes 4 : tensor<2xi32>
  %t = net.for "t" 8 carries(%x) : (tensor<2x4xf32>) -> (tensor<2x4xf32>) collects() {
  ^bb0(%h: tensor<2x4xf32>):
    %n = op.sum_relu %h axes [] : tensor<2x4xf32> -> tensor<2x4xf32>
    net.yield(%n) collect() : (tensor<2x4xf32>) collect()
  }
  op.output "h" %t : tensor<2x4xf32>
  op.cross_entropy %t, %y strength 1.000000e+00 : tensor<2x4xf32>, tensor<2xi32>
}
"""
SAME = """net.network @n dims {batch = 4 : i64} {
  %x = op.input "x" ["batch", "3"] : tensor<4x3xf32>
  %z = op.sum_relu %x axes [] : tensor<4x3xf32> -> tensor<4x3xf32>
  op.output "z" %z : tensor<4x3xf32>
  op.equal %z, %z : tensor<4x3xf32>, tensor<4x3xf32>
}
"""
SPLIT = "net-to-feas,fuse,legalize-bipartite,bipartition,choose-representation,feas-to-proj"


@pytest.mark.parametrize(
    "text, passes, said",
    [
        (LOOP, "net-to-feas,fuse,levels", "has no level"),
        (LOOP, "net-to-feas,levels", "has no level"),
        (SAME, SPLIT, "compares with a value that the network computes"),
    ],
)
def test_passes_say_what_they_cannot_treat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, passes: str, said: str
) -> None:
    path = tmp_path / "given.mlir"
    path.write_text(text)
    assert cli.main(["opt", str(path), "-p", passes]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("number", ["99999999999999999999", "-99999999999999999999", "9" * 40])
def test_integers_that_no_attribute_holds_are_refused(number: str) -> None:
    text = f"net.network @n dims {{batch = {number} : i64}} {{\n}}\n"
    with pytest.raises(DiagnosticError, match="given"):
        parse_ir(text, "given.mlir")


WIDE = "input x: f32[batch, 8]\ntarget y: class[batch, 2]\nparam w: f32[8, 2] = zeros\nz = x @ w\noutput z\n"


@pytest.mark.parametrize("hidden", [2, 16, 64])
def test_all_states_of_an_iteration_are_counted(hidden: int) -> None:
    from pjc.dialects import proj
    from pjc.mesh_plan import require_memory
    from pjc.passes.analysis.graph import only

    text = WIDE.replace("2]", f"{hidden}]") + "require cross_entropy(z, y)\n"
    program = only(compile_text(text, Options(batch=4, solver="dr", level=0)).at("proj"), proj.ProgramOp)
    require_memory(program, 4 * program.state_bytes(), 1)
    with pytest.raises(DiagnosticError, match="states take at least"):
        require_memory(program, 4 * program.state_bytes() - 1, 1)


WIDE = """\
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 500] = zeros
param v: f32[500, 10] = zeros
output z = relu(x @ w) @ v
require cross_entropy(z, y)
"""


@pytest.mark.parametrize("solver", ["sweep", "dr", "rrr"])
def test_what_xla_says_does_not_fit_is_refused_before_training(solver: str) -> None:
    options: dict[str, Any] = {"batch": 64, "solver": solver, "level": 0}
    found = compile_text(WIDE, Options(**options))
    program = found.program()
    needed = program.memory(program.main_entry)
    assert needed > only(found.at("proj"), proj.ProgramOp).state_bytes()
    compile_text(WIDE, Options(memory=needed, **options)).require_estimate(program)
    with pytest.raises(DiagnosticError, match="by XLA's estimate, and --memory gives"):
        compile_text(WIDE, Options(memory=needed - 1, **options)).require_estimate(program)
