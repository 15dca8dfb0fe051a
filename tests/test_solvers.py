"""Solvers own their numbers, their text and what they allow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from xdsl.utils.arg_spec import parse_pipeline
from xdsl.utils.exceptions import PassFailedException

from pjc.diagnostics import DiagnosticError
from pjc.dialects import feas
from pjc.dialects.forms import TREATMENTS
from pjc.driver import compile_text
from pjc.fields import options_of
from pjc.options import Options
from pjc.passes.analysis.depth import levels
from pjc.passes.analysis.graph import only
from pjc.passes.feas_to_proj import FeasToProjPass
from pjc.passes.solvers import DEFAULT, SOLVERS, SolverOptions, parse, users_of
from pjc.universe import PASSES, context

ROOT = Path(__file__).parent.parent
FOLDERS = ("pjc", "passes", "dialects", "runtime")
TEXT = """\
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 5] = he_normal
param v: f32[5, 3] = he_normal
output logits = relu(x @ w) @ v
require margin(logits, y)
"""


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_is_its_text(name: str) -> None:
    solver = SOLVERS[name]()
    assert str(solver) == name and parse(name) == solver
    for number, default in solver.defaults().items():
        others = (each for each in TREATMENTS if each != default)
        given = next(others) if isinstance(default, str) else default / 4 or 0.25
        other = SOLVERS[name](**{number: given})
        assert parse(str(other)) == other != solver
        assert Options(solver=name, **{number: given}).method == other
        assert Options(solver=str(other)).method == Options(solver=other).method == other


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_names_passes_that_there_are(name: str) -> None:
    solver = SOLVERS[name]()
    assert {solver.lowering, *solver.partition} <= PASSES.keys()
    assert solver.copies().reason


def test_every_number_is_an_option_that_some_solver_takes() -> None:
    numbers = {each.name for each in options_of(SolverOptions)} - {"solver"}
    assert numbers == {number for cls in SOLVERS.values() for number in cls.defaults()}
    assert all(users_of(number) for number in numbers) and DEFAULT in SOLVERS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adam", "unknown solver 'adam'\nhint: known are ap, "),
        ("", "unknown solver ''"),
        ("ap{step=0.5}", "the solver ap takes no step\nhint: it is a number of rrr"),
        ("rrr{speed=0.5}", "the solver rrr takes no speed\nhint: rrr takes step"),
        ("rrr{step=5}", "step: expected a number above 0, at most 2, found 5.0"),
        ("rrr{step=nan}", "step: expected a number above 0, at most 2, found nan"),
        ("rrr{step}", "'step' in 'rrr{step}' is no number=value"),
        ("rrr{step=1 step=1}", "step is given twice"),
        ("rrr{step=1", "is no solver"),
    ],
)
def test_wrong_texts_are_refused(text: str, message: str) -> None:
    for make in (lambda: parse(text), lambda: Options(solver=text)):
        with pytest.raises(DiagnosticError) as caught:
            make()
        assert message in str(caught.value)


def test_numbers_beside_a_text() -> None:
    assert Options(solver="rrr{step=0.5}", step=0.5).method == parse("rrr{step=0.5}")
    with pytest.raises(DiagnosticError, match=r"step is given twice, as 0.5 and as 0.75"):
        Options(solver="rrr{step=0.5}", step=0.75)


def test_the_option_of_a_pass_is_the_text() -> None:
    (spec,) = parse_pipeline('feas-to-proj{solver="rrr{step=0.5}"}')
    assert FeasToProjPass.from_spec(spec).solver == "rrr{step=0.5}"


def test_solvers_and_options_load_without_the_rest() -> None:
    code = "import sys, pjc.passes.solvers, pjc.options, pjc.fields\nprint(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"xdsl", "jax", "numpy"} & set(found.stdout.split())


SOLVER = '''
@dataclass(frozen=True)
class Averaged(TwoSet):
    """Averaged projections with share w: ``x := (1 - w) P_A x + w P_B x``."""

    name = "averaged"
    share: float = 0.5

    def iteration(self, it: Iteration) -> tuple[SSAValue, SSAValue, SSAValue]:
        a, b = it.P(A, it.x), it.P(B, it.x)
        return it.combine((1 - self.share, a), (self.share, b)), b, a


SOLVERS: dict'''
FIELD = """
    share: float | None = _number("share", Number(above=0, below=1), "the share", "W")

    def __post_init__(self) -> None:
        check_fields(self)"""


def test_a_solver_with_a_number_touches_one_file(tmp_path: Path) -> None:
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "passes" / "solvers.py"
    text = path.read_text()
    for old, new in (
        ("\nSOLVERS: dict", SOLVER),
        ("\n    def __post_init__(self) -> None:\n        check_fields(self)", FIELD),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    (tmp_path / "net.pjn").write_text(
        "input x: f32[batch, 2]\ntarget y: class[batch, 2]\nparam w: f32[2, 2] = he_normal\n"
        "output z = x @ w\nrequire margin(z, y)\n"
    )

    def pjc(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-m", "pjc.cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert "the share of averaged, above 0, below 1 (default: 0.5)" in " ".join(pjc("--help").stdout.split())
    shown = pjc("net.pjn", "--solver", "averaged", "--share", "0.25", "--emit", "proj")
    assert 'proj.iterate "averaged{share=0.25}"' in shown.stdout, shown.stderr
    wrong = pjc("net.pjn", "--share", "0.25")
    assert wrong.returncode == 1 and "takes no share\nhint: it is a number of averaged" in wrong.stderr
    assert "below 1, found '1'" in pjc("net.pjn", "--share", "1").stderr


def test_a_solver_refuses_a_problem_that_is_split_for_another() -> None:
    problem = compile_text(TEXT, Options(solver="cdr")).at("feas").clone()
    wanted = "dr needs two parts, and the problem has the parts L0, L1, .*; run feas-legalize-bipartite"
    with pytest.raises(PassFailedException, match=wanted):
        FeasToProjPass(solver="dr").apply(context(), problem)  # what --emit feas and pjc opt would give it


LAYER = "param w{0}: f32[4, 4] = he_normal\n{1} = relu({2} @ w{0})\n"
STACK = "g = x\nfor t in 0..5 {\n  param w: f32[4, 4] = he_normal\n  g = relu(g @ w)\n  s = g\n}\n"
CELL = "param w: f32[4, 4] = he_normal\ng = x\nfor t in 0..5 {\n  g = relu(g @ w)\n}\n"
TWO_LAYERS = LAYER.format(0, "h", "x") + LAYER.format(1, "g", "h")
DEPTHS = {
    "readout alone": ("g = x\n", "g", 4, 1),
    "two hidden layers": (TWO_LAYERS, "g", 4, 3),
    "a readout of both": (TWO_LAYERS, "concat(h, g)", 8, 2),
    "a sum around one": (TWO_LAYERS, "x + g", 4, 3),
    "five layers in a loop": (STACK, "g", 4, 6),
    "a readout of all of a loop": (STACK, "sum(s, axis = 0)", 4, 2),
    "one weight in a loop": (CELL, "g", 4, 2),
}
"""Layers, what the readout reads, how wide that is, and the levels of products to the farthest parameter."""


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("solver", ["dr", "cp", "sweep"])
def test_levels_are_counted_along_the_shortest_way(name: str, solver: str) -> None:
    layers, read, width, expected = DEPTHS[name]
    text = (
        f"input x: f32[batch, 4]\ntarget y: class[batch, 3]\n{layers}param v: f32[{width}, 3] = he_normal\n"
    )
    text += f"require v in nonneg\noutput z = ({read}) @ v\nrequire cross_entropy(z, y)\n"
    compilation = compile_text(text, Options(solver=solver, batch=2))
    assert levels(only(compilation.at("feas"), feas.ProblemOp)) == expected
    cautions = compilation.cautions()
    assert len(cautions) == (solver != "sweep" and expected > 2), cautions
    for said in cautions:
        assert said.startswith(f"{solver} weakens") and f"there are {expected} between" in said
        assert DEFAULT in said


def test_what_requires_nothing_has_no_levels() -> None:
    text = "input x: f32[batch, 4]\nparam w: f32[4, 2] = he_normal\noutput z = x @ w\n"
    assert levels(only(compile_text(text, Options(batch=2)).at("feas"), feas.ProblemOp)) == 0
