"""Options: what the command line refuses the Python API refuses too; all that derives from a field does."""

from __future__ import annotations

import inspect
import runpy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pjc
from pjc import cli
from pjc.api import _with_options
from pjc.commands.arguments import Usage, parse
from pjc.commands.compile import require_used
from pjc.diagnostics import CommandError, DiagnosticError, PjcError
from pjc.driver import Compilation, compile_text
from pjc.fields import Choice, Number, Switch, Text, differing, option, options_of, part, required, rest
from pjc.options import Options
from pjc.runtime.data.dataset import DataError
from pjc.runtime.distributed import DistributedError
from pjc.runtime.program import ProgramError
from pjc.stage_names import EMITTED

ROOT = Path(__file__).parent.parent
TEXT = "input x: f32[batch, 2]\ntarget y: class[batch, 2]\nparam w: f32[2, 2] = he_normal\n"
TEXT += "output z = x @ w\nrequire margin(z, y)\n"
WRONG: list[tuple[str, str, Any, str]] = [
    ("step", "-5", -5, "expected a number above 0, at most 2, found"),
    ("step", "nan", float("nan"), "expected a number above 0, at most 2, found"),
    ("relaxation", "0", 0, "expected a number above 0, at most 1, found"),
    ("beta", "0", 0, "expected a number from -1000000 to 1000000, other than 0, found"),
    ("iterations", "0", 0, "expected a whole number from 1, found"),
    ("batch", "1.5", 1.5, "expected a whole number from 1, found"),
    ("batch", "many", "64", "expected a whole number from 1, found"),
    ("level", "3", 3, "expected 0, 1 or 2, found"),
    ("dtype", "f16", "f16", "unknown dtype 'f16'"),
    ("products", "f16", "f16", "unknown products 'f16'"),
    ("memory", "lots", "lots", "expected a number of bytes such as 8G, found"),
    ("mesh", "sample=0", "sample=0", "mesh axis 'sample' takes a whole number from 1, found 0"),
    ("solver", "adam", "adam", "unknown solver 'adam'"),
    ("loss", "none", "none", "unknown loss 'none'"),
    ("batch", "2147483648", 2**31, "expected a whole number from 1, at most 2147483647, found"),
]


@pytest.mark.parametrize(("name", "text", "value", "message"), WRONG)
def test_the_command_line_and_python_refuse_alike(
    name: str, text: str, value: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DiagnosticError) as caught:
        pjc.compile(TEXT, **{name: value})
    assert message in str(caught.value) and name in str(caught.value)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["net.pjn", f"--{name}", text])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": True},
        {"step": "0.5"},
        {"level": 1.0},
        {"unroll": 1},
        {"unroll": "yes"},
        {"copies": 3},
        {"copies": [3]},
        {"defines": 3},
        {"defines": {"a": "b"}},
        {"defines": {3: 4}},
        {"mesh": 3},
        {"memory": 1.5},
        {"solver": 3},
        {"solver": None},
        {"dtype": None},
        {"loss": 3},
        {"reinit": None},
        {"batch": np.array([3])},
        {"iterations": 2**40},
    ],
    ids=str,
)
def test_values_of_another_type_are_a_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(DiagnosticError, match=next(iter(options))):
        Options(**options)


def test_numbers_of_numpy_are_numbers() -> None:
    found = Options(batch=np.int64(3), solver="rrr", step=np.float32(0.5))
    assert found == Options(batch=3, solver="rrr", step=0.5) and type(found.batch) is int


def test_unknown_keywords_give_the_nearest_name() -> None:
    with pytest.raises(DiagnosticError, match="unknown option 'iteration'\nhint: did you mean 'iterations'"):
        pjc.compile(TEXT, iteration=3)  # type: ignore[call-arg]


def test_the_signature_of_compile_has_every_option() -> None:
    parameters = inspect.signature(pjc.compile).parameters
    assert list(parameters) == ["source", *(each.name for each in options_of(Options))]
    assert parameters["iterations"].default is None and parameters["iterations"].kind.name == "KEYWORD_ONLY"
    assert list(inspect.signature(pjc.load).parameters) == ["path", "outer"]


@pytest.mark.parametrize("word", ["=held", "held=", "x=auto", "heldd"])
def test_words_that_are_no_forms_of_copies(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DiagnosticError, match=f"unknown copies '{word}'"):
        pjc.compile(TEXT, copies=word)
    assert cli.main(["net.pjn", "--copies", word]) == 1
    assert f"unknown copies '{word}'" in capsys.readouterr().err


def test_options_are_given_by_name() -> None:
    with pytest.raises(DiagnosticError, match=r"options are given by name, found 5\nhint: as in batch=64"):
        pjc.compile(TEXT, 5)  # type: ignore[call-arg,arg-type]


def test_options_that_do_not_apply_are_refused_with_who_uses_them() -> None:
    for wrong, message in (
        ({"loss": "margin"}, "loss does not apply to .pjn files\nhint: it is for ONNX models"),
        ({"reinit": True}, "reinit does not apply to .pjn files"),
        ({"solver": "ap", "step": 0.5}, "the solver ap takes no step\nhint: it is a number of rrr"),
    ):
        with pytest.raises(DiagnosticError, match=message):
            pjc.compile(TEXT, **wrong)  # type: ignore[arg-type]


OF_A_STAGE: dict[str, Any] = {
    "solver": "cp",
    "outer": "sgd",
    "rate": 1e-2,
    "schedule": "linear",
    "warmup": 0.5,
    "weight_decay": 0.1,
    "clip": 1.0,
    "accumulate": 2,
    "freeze": ["w"],
    "iterations": 7,
    "level": 0,
    "copies": "exact",
    "products": "bf16",
    "memory": "1K",
    "unroll": True,
    "mesh": "sample=2",
    "batch": 4,
    "dtype": "f64",
    "defines": {"hidden": 5},
}
BESIDE: dict[str, dict[str, Any]] = {"iterations": {"solver": "dr"}, "weight_decay": {"outer": "adamw"}}
"""What an option that not every choice has a use for is given beside."""


@pytest.mark.parametrize("name", OF_A_STAGE)
def test_an_option_makes_no_difference_before_its_stage(name: str) -> None:
    """Of what is printed; and the command line refuses it there, with the stages that it is for."""
    (option,) = (each for each in options_of(Options) if each.name == name)
    assert option.since is not None
    before = EMITTED[: EMITTED.index(option.since)]
    text = "const hidden = 2\n" + TEXT
    beside = Options(**BESIDE.get(name, {}))
    options = replace(beside, **{name: OF_A_STAGE[name]})
    one, other = compile_text(text, beside), compile_text(text, options)
    assert all(one.emit(stage) == other.emit(stage) for stage in before)
    given = differing(options)
    late = [each for each in options_of(Options) if each.name in given and each.since == option.since]
    assert option in late
    with pytest.raises(
        CommandError, match=f"{late[0].flags[-1]} makes no difference to X; it does to --emit {option.since}"
    ):
        require_used(options, before[-1], "X")
    for stage in EMITTED[len(before) :]:
        require_used(options, stage, "X")


def test_a_record_gives_the_options_again() -> None:
    options = Options(solver="dm", beta=-2, batch=3, defines={"a": 1}, copies="held", mesh="sample=2")
    assert Options(**options.record()) == options
    assert differing(Options()) == [] and set(differing(options)) == {
        "solver",
        "batch",
        "defines",
        "copies",
        "mesh",
    }


def test_what_a_resumed_run_compares() -> None:
    compared = Options().compared()
    assert {"unroll", "memory", "solver", "level", "copies", "products", "loss"} <= compared.keys()
    assert not {"mesh", "reinit"} & compared.keys()


@pytest.mark.parametrize(
    "call",
    [
        lambda program: program.init("a"),
        lambda program: program.init(None),
        lambda program: program.init(1.5),
        lambda program: program.init(np.zeros(3)),
        lambda program: program.init(2**70),
        lambda program: program.apply([1], np.zeros((2, 2))),
        lambda program: program.apply(program.init(0), "x"),
        lambda program: program.apply(program.init(0), [["a", "b"]]),
        lambda program: program.apply(program.init(0), None),
        lambda program: program.apply({"w": "x"}, np.zeros((2, 2))),
        lambda program: program.apply(program.init(0)),
        lambda program: program.update(program.init(0), np.zeros((2, 2)), [0, 1], iterations=-1),
        lambda program: program.update(program.init(0), np.zeros((2, 2)), [0, 1], iterations=1.5),
        lambda program: program.update(program.init(0), np.zeros((2, 2)), [0, 1], iterations="3"),
        lambda program: program.gap(program.init(0), np.zeros((2, 2)), [0, 7]),
        lambda program: program.finish(3),
        lambda program: program.to_onnx(3, "x.onnx"),
        lambda program: program.save(None),
        lambda program: program.ir(3),
        lambda program: program.stablehlo("train"),
        lambda program: pjc.load(3),
        lambda program: pjc.load("."),
        lambda program: pjc.load("nowhere.pjx"),
        lambda program: pjc.compile(3),
        lambda program: pjc.compile("."),
        lambda program: pjc.compile("nowhere.pjn"),
        lambda program: pjc.compile(TEXT, defines={"nothing": 3}),
    ],
)
def test_wrong_calls_are_sentences(call: Any, program: pjc.Program) -> None:
    with pytest.raises(PjcError) as caught:
        call(program)
    assert len(str(caught.value)) > 10


@pytest.fixture(scope="module")
def program() -> pjc.Program:
    return pjc.compile(TEXT, batch=2)


def test_a_program_says_what_it_is(program: pjc.Program) -> None:
    assert repr(program) == "<pjc.Program 'network': 1 parameter, 4 numbers, batch 2, solver sweep>"
    assert str(program) == (
        "<pjc.Program 'network'\n  inputs: x float32[2, 2]\n  targets: y int32[2] below 2\n"
        "  outputs: z float32[2, 2]\n  parameters: 1, 4 numbers\n  batch: 2\n"
        "  solver: sweep>"
    )
    iterating = pjc.compile(TEXT, batch=2, solver="dr")
    assert "  solver: dr, 50 iterations an update>" in str(iterating)
    assert repr(iterating).endswith("batch 2, solver dr, 50 iterations an update>")
    nothing = pjc.compile("input x: f32[batch, 2]\noutput x\n")
    assert "solver: none, it requires nothing>" in str(nothing)
    assert (
        repr(nothing)
        == "<pjc.Program 'network': 0 parameters, 0 numbers, batch 64, solver none, it requires nothing>"
    )


def test_every_mistake_of_the_users_is_one_class() -> None:
    for each in (DiagnosticError, DataError, DistributedError, ProgramError):
        assert issubclass(each, PjcError)
    assert issubclass(ProgramError, ValueError)


@dataclass(frozen=True, kw_only=True)
class More(Options):
    """The options with one more, which is a field and nothing else."""

    patience: int = option(3, kind=Number(whole=True, low=1, high=9), help="how long to wait", group="solver")


def test_adding_an_option_touches_its_field_alone(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Arguments:
        model: str = required(kind=Text(), metavar="MODEL", help="the network")
        options: More = part(More)

    usage = Usage("pjc", "pjc", "")
    assert parse(Arguments, usage, ["a.pjn", "--patience", "5"]).options.patience == 5
    with pytest.raises(SystemExit):
        parse(Arguments, usage, ["a.pjn", "--patience", "0"])
    wanted = "expected a whole number from 1 to 9, found"
    assert wanted in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(Arguments, usage, ["--help"])
    assert "how long to wait (default: 3)" in capsys.readouterr().out
    with pytest.raises(DiagnosticError, match=f"patience: {wanted}"):
        More(patience=10)
    assert More(patience=4).compared()["patience"] == 4 and More(patience=4).record()["patience"] == 4
    page = runpy.run_path(str(ROOT / "docs" / "reference.py"))["options_page"](More)
    assert "| `--patience` N | `patience` | a whole number from 1 to 9 | 3 | how long to wait |" in page

    @_with_options(More)
    def compile(source: Any, options: Options) -> Any:
        return options

    assert inspect.signature(compile).parameters["patience"].default == 3
    assert compile(TEXT, patience=7).patience == 7


def test_records_of_arguments() -> None:
    @dataclass(frozen=True)
    class Inner:
        loud: bool = option(False, kind=Switch(), help="say more")
        words: tuple[str, ...] = option((), kind=Text(repeated=True), help="words")

    @dataclass(frozen=True)
    class Outer:
        file: str = required(kind=Text(), help="a file")
        names: tuple[str, ...] = rest(metavar="NAME", help="names")
        color: str = option("red", kind=Choice(("red", "blue")), help="of it")
        inner: Inner = part(Inner)

    usage = Usage("x", "x", "")
    assert parse(Outer, usage, ["f"]) == Outer("f")
    given = ["f", "a", "b", "--color", "blue", "--loud", "--words", "u", "--words", "v"]
    assert parse(Outer, usage, given) == Outer("f", ("a", "b"), "blue", Inner(True, ("u", "v")))


def test_mesh_and_batch_of_a_compilation_are_replaced_one_by_one() -> None:
    options = replace(Options(solver="rrr", step=0.5), batch=3)
    assert str(options.method) == "rrr{step=0.5}"
    assert replace(options, step=0.25).method.numbers() == {"step": 0.25, "metric": 0.0}
    assert Compilation.__dataclass_fields__.keys() >= {"source", "options", "watch"}
