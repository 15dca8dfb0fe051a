"""Passes on any IR that verifies: it is lowered, or one of them says why not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz import mutate
from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.exceptions import PassFailedException, VerifyException

from pjc.diagnostics import DiagnosticError, PjcError
from pjc.driver import compile_text
from pjc.ir_text import parse_ir
from pjc.options import Options
from pjc.stage_names import STARTS
from pjc.universe import PASSES, context, pass_factory

HERE = Path(__file__).parent
EXAMPLES = (
    "attention_digits",
    "char_rnn",
    "cnn_digits",
    "mlp_residual_digits",
    "multiplication",
    "nmf_digits",
)
NESTED = """\
net.network @n dims {batch = 2 : i64} {
  %x = op.input "x" ["batch", "3"] : tensor<2x3xf32>
  %h = net.for "t" 3 carries (%x) : (tensor<2x3xf32>) -> (tensor<2x3xf32>) collects () {
  ^body(%before : tensor<2x3xf32>):
    %deep = net.for "layer" 2 carries (%before) : (tensor<2x3xf32>) -> (tensor<2x3xf32>) collects () {
    ^inner(%below : tensor<2x3xf32>):
      %z = op.identity %below : tensor<2x3xf32> -> tensor<2x3xf32>
      net.yield (%z) collect () : (tensor<2x3xf32>) collect ()
    }
    net.yield (%deep) collect () : (tensor<2x3xf32>) collect ()
  }
  op.output "h" %h : tensor<2x3xf32>
}
"""
ENTRY = '{loop = #feas.loop<"t" 32>}'
"""Marks the ops of the loop of char_rnn."""


def applied(names: list[str], module: ModuleOp) -> str:
    """Return what the passes say, "" where all are done; whatever else they raise is raised."""
    try:
        for name in names:
            pass_factory(name)()().apply(context(), module)
            module.verify()
    except (PassFailedException, VerifyException, PjcError) as error:
        return str(error)
    return ""


def example(name: str, solver: str, stage: str) -> str:
    text = (HERE.parent / "examples" / f"{name}.pjn").read_text()
    return str(compile_text(text, Options(batch=4, solver=solver)).at(stage))


def some_passes(rng: random.Random) -> list[str]:
    """Return passes in their order, or in any."""
    if rng.random() < 0.3:
        return rng.choices(list(PASSES), k=rng.randint(1, 6))
    share = rng.choice((0.3, 0.7, 1))
    return [name for name in PASSES if rng.random() < share]


@pytest.mark.parametrize(
    "names", [["net-to-feas"], ["net-unroll-irregular", "net-to-feas"], ["net-label", "net-to-feas"]]
)
def test_a_loop_in_a_loop_is_named(names: list[str]) -> None:
    assert "loop 'layer' is inside another loop; run net-unnest first" in applied(
        names, parse_ir(NESTED, "n")
    )
    assert applied(["net-canonicalize", "net-unnest", *names], parse_ir(NESTED, "n")) == ""


@pytest.mark.parametrize("count", [1, 31, 9223372036854775807])
@pytest.mark.parametrize(("solver", "last"), [("sweep", "feas-to-sweep"), ("dr", "feas-to-proj")])
def test_ops_of_a_loop_with_other_counts_are_named(solver: str, last: str, count: int) -> None:
    text = example("char_rnn", solver, "feas")
    assert applied([last], parse_ir(text, "n")) == ""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if "view.reshape" in line and ENTRY in line)
    lines[at] = lines[at].replace("32>}", f"{count}>}}")
    said = applied([last], parse_ir("\n".join(lines), "n"))
    assert "reads a value of loop 't' before all" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_any_passes_lower_an_example_or_say_why_not(name: str) -> None:
    rng = random.Random(name)
    texts = [example(name, solver, stage) for solver in ("sweep", "dr") for stage in STARTS]
    said = [applied(some_passes(rng), parse_ir(rng.choice(texts), "n")) for _ in range(60)]
    assert "" in said


@pytest.mark.slow
def test_any_passes_lower_mutants_that_verify_or_say_why_not() -> None:
    rng = random.Random(0)
    texts = [
        part for path in sorted((HERE / "ir").glob("*.mlir")) for part in path.read_text().split("// -----")
    ]
    texts += [
        example(name, solver, stage) for name in EXAMPLES for solver in ("sweep", "dr") for stage in STARTS
    ]
    taken = 0
    for _ in range(4000):
        text = mutate.of_text(rng.choice(texts).encode(), rng).decode("utf-8", "replace")
        try:
            module = parse_ir(text, "n")
        except DiagnosticError:
            continue
        taken += 1
        applied(some_passes(rng), module)
    assert taken > 100
