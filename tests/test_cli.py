"""The command line: what it prints, what it writes, and how it says what is wrong."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from rich.text import Text
from running import Run, runner
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from test_train import Means, Spec

import pjc.commands.opt
import pjc.dialects.ops
import pjc.driver
from pjc import __version__, cli, options
from pjc.commands.training import view as train_view
from pjc.commands.training.files import Measures
from pjc.diagnostics import Diagnostic, DiagnosticError
from pjc.fields import options_of
from pjc.options import Options
from pjc.passes.solvers import SOLVERS, SolverOptions
from pjc.runtime.artifact import FORMAT
from pjc.runtime.history import Result, Row
from pjc.stage_names import EMITTED

MODEL = """\
const hidden = 16

input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, hidden] = he_normal
param b: f32[hidden] = zeros
param v: f32[hidden, 10] = he_normal

h = relu(x @ w + b)
output logits = h @ v
require cross_entropy(logits, y, strength=2)
"""


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line and returns code, stdout and stderr."""
    return runner(capsys)


# --- a driver that compiles nothing, so that the command line is tested alone ---------------------


@dataclass(frozen=True)
class FakeProgram(Means):
    name: str = "net"
    iterations: int = 50

    def save(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("manifest.json", json.dumps({"format": FORMAT, "source": {"file": "net.pjn"}}))

    def require_trainable(self) -> None:
        pass


@dataclass(frozen=True)
class FakeCompilation:
    path: str
    options: Options
    watch: Any
    dtype = "f32"
    chooses_copies = True

    @property
    def source(self) -> Any:
        return SimpleNamespace(file=self.path)

    def emit(self, stage: str) -> str:
        self.watch("net-canonicalize", "canonical text")
        self.watch("feas-fuse", "fused text")
        return f"{stage} of {Path(self.path).read_text()}"

    def program(self) -> Any:
        self.emit("hlo")
        return FakeProgram(batch=self.options.batch or 32)

    def require_memory(self) -> None:
        pass

    def require_estimate(self, program: Any) -> None:
        pass

    def require_loss(self) -> None:
        pass

    def cautions(self) -> list[str]:
        return [each for each in [self.options.method.caution(4)] if each is not None]

    def fingerprint(self) -> str:
        return Path(self.path).read_text()

    def summary(self) -> Any:
        return SimpleNamespace(
            constraints={("dot", "A"): 2, ("dot", "B"): 1, ("cross_entropy", "A"): 1},
            parameters=9610,
            copies_bytes=3 * 2**20,
            seconds={"ast": 0.01, "net": 0.2},
        )


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Options]:
    """Put the fake driver in place, work in an empty folder with net.pjn, return the options used."""
    seen: list[Options] = []

    def compile_file(path: str, options: Options, watch: Any = None) -> FakeCompilation:
        seen.append(options)
        return FakeCompilation(path, options, watch)

    monkeypatch.setattr(pjc.driver, "compile_file", compile_file)
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text("a net")
    return seen


def use(monkeypatch: pytest.MonkeyPatch, program: FakeProgram) -> None:
    """Let the fake driver compile to ``program``."""
    monkeypatch.setattr(FakeCompilation, "program", lambda self: program)


# --- arguments ------------------------------------------------------------------------------------


def test_version_and_help(pjc_run: Run) -> None:
    assert pjc_run("--version") == (0, f"pjc {__version__}\n", "")
    code, out, _ = pjc_run("--help")
    assert code == 0 and "pjc train MODEL.pjn" in out and "examples:" in out
    assert max(map(len, out.splitlines())) <= 100
    code, out, _ = pjc_run("train", "--help")
    assert code == 0 and "--resume" in out and "Ctrl-C" in out


def test_no_arguments_is_wrong_usage(pjc_run: Run) -> None:
    code, out, err = pjc_run()
    assert code == 2 and not out and "usage: pjc MODEL.pjn" in err


def test_choices_are_the_drivers() -> None:
    assert EMITTED[2:-2] == tuple(stage.name for stage in pjc.driver.STAGES)
    assert set(options.LOSSES) <= {pjc.dialects.ops.operator_of(loss) for loss in pjc.dialects.ops.LOSSES}


def test_help_names_the_defaults_of_the_driver(pjc_run: Run) -> None:
    _, out, _ = pjc_run("--help")
    text = " ".join(out.split())
    for field in options_of(Options):
        if field.name in SolverOptions.__dataclass_fields__ and field.name != "solver":
            own = {
                name: cls.defaults()[field.name]
                for name, cls in SOLVERS.items()
                if field.name in cls.defaults()
            }
            shown = {name: each if isinstance(each, str) else f"{each:g}" for name, each in own.items()}
            alone = len(set(shown.values())) == 1
            each = [f"{value}" if alone else f"{value} of {name}" for name, value in shown.items()]
            said = each[0] if alone else ", ".join(each)
            assert re.search(rf"{field.flags[-1]} (?:(?! --).)*\(default: {said}\)", text)
        # Some depend on the file or machine, reinit says what its default does.
        elif field.name not in (
            "defines",
            "batch",
            "mesh",
            "memory",
            "loss",
            "reinit",
            "freeze",
            "trainable",
        ):
            pattern = rf"{field.flags[-1]} (?:(?! --).)*\(default: {field.shown_default}\)"
            assert re.search(pattern, text), (pattern, text)
    assert re.search(r"--mesh (?:(?! --).)*\(default: one device;", text)
    assert re.search(r"--memory (?:(?! --).)*\(default: that of the first device here\)", text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["net.pjn", "--solver", "adam"],
        ["net.pjn", "--batch", "0"],
        ["net.pjn", "--batch", "1.5"],
        ["net.pjn", "--iterations", "-3"],
        ["net.pjn", "--relaxation", "0"],
        ["net.pjn", "--relaxation", "nan"],
        ["net.pjn", "--step", "inf"],
        ["net.pjn", "--beta", "0"],
        ["net.pjn", "--dtype", "f16"],
        ["net.pjn", "--emit", "llvm"],
        ["net.pjn", "--epochs", "3"],
        ["net.pjn", "more.pjn"],
        ["train", "net.pjn"],
        ["train", "--data", "digits"],
        ["train", "net.pjn", "--data", "digits", "--epochs", "0"],
        ["train", "net.pjn", "--data", "digits", "--seed", "-1"],
        ["train", "net.pjn", "--data", "digits", "--validation", "1"],
        ["train", "net.pjn", "--data", "digits", "--test", "x"],
        ["train", "net.pjn", "--data", "digits", "--normalize", "maybe"],
    ],
)
def test_wrong_usage(pjc_run: Run, given: list[Options], arguments: list[str]) -> None:
    code, out, err = pjc_run(*arguments)
    assert code == 2 and not out and "pjc: error[PJC" in err
    assert not given and os.listdir() == ["net.pjn"]


def test_options_reach_the_driver(pjc_run: Run, given: list[Options]) -> None:
    assert pjc_run("net.pjn")[0] == 0
    values = ["--batch", 8, "--beta", -2, "--iterations", 7]
    more = ["--solver", "dm", "--dtype", "f64", "-O1", "--copies", "exact", "-D", "hidden=256", "-Dscale=0.5"]
    assert pjc_run("compile", "net.pjn", *values, *more)[0] == 0
    defines = {"hidden": 256, "scale": 0.5}
    wanted = Options(
        solver="dm", batch=8, dtype="f64", defines=defines, beta=-2, iterations=7, level=1, copies=("exact",)
    )
    assert given == [Options(), wanted]


def test_misspelt_command_and_file(pjc_run: Run, given: list[Options]) -> None:
    code, _, err = pjc_run("trian", "net.pjn")
    assert code == 1 and "no file 'trian'; did you mean the command 'train'?" in err
    code, _, err = pjc_run("nte.pjn")
    assert code == 1 and "there is no file nte.pjn; did you mean net.pjn?" in err


def test_file_named_like_a_command(pjc_run: Run, given: list[Options]) -> None:
    Path("opt").write_text("a net")
    assert pjc_run("./opt", "--emit", "net")[1] == "net of a net\n"


def test_opt_gets_the_rest(monkeypatch: pytest.MonkeyPatch, pjc_run: Run) -> None:
    seen = []
    monkeypatch.setattr(pjc.commands.opt, "main", lambda argv: seen.append(argv) or 3)
    assert pjc_run("opt", "a.mlir", "-p", "fuse", "--help")[0] == 3
    assert seen == [["a.mlir", "-p", "fuse", "--help"]]


# --- compiling ------------------------------------------------------------------------------------


def test_compile_writes_beside_the_source_and_sums_up(pjc_run: Run, given: list[Options]) -> None:
    Path("sub").mkdir()
    Path("sub/a.pjn").write_text("a net")
    code, out, err = pjc_run("sub/a.pjn")
    assert code == 0 and not err and zipfile.is_zipfile("sub/a.pjx")
    lines = [line.split() for line in out.splitlines()]
    assert lines == [
        ["constraints", "part", "A", "part", "B"],
        ["cross_entropy", "1", "-"],
        ["dot", "2", "1"],
        ["parameters", "9,610"],
        ["copies", "3.0", "MiB"],
        ["seconds", "ast", "0.01,", "net", "0.20"],
        ["wrote", "sub/a.pjx"],
    ]
    assert pjc_run("net.pjn", "-o", "there.pjx")[0] == 0
    assert Path("there.pjx").exists() and not Path("net.pjx").exists()


def test_emit(pjc_run: Run, given: list[Options]) -> None:
    for stage in EMITTED:
        assert pjc_run("net.pjn", "--emit", stage) == (0, f"{stage} of a net\n", "")
    assert pjc_run("net.pjn", "--emit", "net", "-o", "out.mlir") == (0, "", "")
    assert Path("out.mlir").read_text() == "net of a net\n"
    assert sorted(os.listdir()) == ["net.pjn", "out.mlir"]


def test_print_ir(pjc_run: Run, given: list[Options]) -> None:
    _, out, err = pjc_run("net.pjn", "--emit", "feas", "--print-ir-after-all")
    assert out == "feas of a net\n"
    first, second = "// ----- after net-canonicalize -----\ncanonical text\n", "fused text\n"
    assert err == f"{first}// ----- after feas-fuse -----\n{second}"
    _, _, err = pjc_run("net.pjn", "--print-ir-after", "feas-fuse")
    assert err == f"// ----- after feas-fuse -----\n{second}"
    code, _, err = pjc_run("net.pjn", "--emit", "feas", "--print-ir-after", "fuse-it")
    assert code == 1 and "no pass 'fuse-it' ran; the passes of this run were: net-canon" in err


def test_files_that_cannot_be_compiled(pjc_run: Run, given: list[Options]) -> None:
    Path("blank.pjn").write_text(" \n")
    code, _, err = pjc_run("blank.pjn")
    assert (code, err) == (1, "pjc: error[PJC1101]: blank.pjn is empty\n")
    code, _, err = pjc_run("a\0b.pjn")
    assert code == 1 and "cannot be read" in err
    code, _, err = pjc_run("net.pjn/deeper.pjn")
    assert code == 1 and "cannot be read: Not a directory" in err


def test_output_that_cannot_be_written(pjc_run: Run, given: list[Options]) -> None:
    for output in ("net.pjn/net.pjx", "."):
        for more in ([], ["--emit", "net"]):
            code, out, err = pjc_run("net.pjn", "-o", output, *more)
            assert code == 1 and not out and re.search("cannot be|is a dir", err), err
    code, _, err = pjc_run("net.pjn", "-o", os.devnull)
    assert code == 1 and "no regular file" in err and not Path(os.devnull).is_file()
    assert pjc_run("net.pjn", "-o", os.devnull, "--emit", "net") == (0, "", "")
    assert not Path(os.devnull).is_file()
    code, _, err = pjc_run("net.pjn", "-o", "./net.pjn")
    assert code == 1 and "would overwrite the source" in err
    assert os.listdir() == ["net.pjn"] and Path("net.pjn").read_text() == "a net"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DiagnosticError([Diagnostic("wrong here", hint="do that")]), "]: wrong here\nhint: do"),
        (MemoryError(), "pjc: error[PJC9902]: out of memory; give a smaller --batch"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "pjc: error[PJC9902]: out of memory"),
        (PermissionError(13, "Permission denied", "x"), "pjc: error[PJC9903]: x: Permission denied"),
        (ZeroDivisionError("what"), "internal error, ZeroDivisionError: what\nhint: this is a mist"),
    ],
)
def test_errors_are_sentences(
    monkeypatch: pytest.MonkeyPatch,
    pjc_run: Run,
    given: list[Options],
    error: Exception,
    message: str,
) -> None:
    def fail(self: Any) -> None:
        raise error

    monkeypatch.setattr(FakeCompilation, "program", fail)
    code, out, err = pjc_run("net.pjn")
    assert code == 1 and not out and message in err
    assert os.listdir() == ["net.pjn"]


def test_internal_error_shows_its_place_when_asked(
    monkeypatch: pytest.MonkeyPatch, given: list[Options]
) -> None:
    monkeypatch.setattr(FakeCompilation, "program", lambda self: 1 / 0)
    monkeypatch.setenv("PJC_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["net.pjn"])


def test_folders_of_outputs_are_made(pjc_run: Run, given: list[Options]) -> None:
    for output, more in (("a/b/net.pjx", []), ("c/net.mlir", ["--emit", "net"])):
        assert pjc_run("net.pjn", "-o", output, *more)[0] == 0
        assert Path(output).is_file()


@pytest.mark.parametrize("contents", [b"words", b"PK\3\4 cut", b'{"a": 1}'])
def test_compiling_overwrites_no_other_file(pjc_run: Run, given: list[Options], contents: bytes) -> None:
    assert pjc_run("net.pjn")[0] == pjc_run("net.pjn")[0] == 0  # its own file
    Path("other.pjn").write_text("a net")
    code, _, err = pjc_run("other.pjn", "-o", "net.pjx")
    assert code == 1 and "net.pjx would be overwritten, which is the compiled network of net.pjn; name" in err
    assert pjc_run("other.pjn", "-o", "net.pjx", "--force")[0] == 0
    Path("any").write_bytes(contents)
    code, _, err = pjc_run("net.pjn", "-o", "any")
    assert code == 1 and "any would be overwritten, which is no compiled network" in err
    assert Path("any").read_bytes() == contents
    Path("any").write_bytes(b"")
    assert pjc_run("net.pjn", "-o", "any")[0] == 0


@pytest.mark.parametrize(
    ("name", "contents", "kept"),
    [
        ("out.mlir", b"an older dump", False),
        ("other.pjn", b"another source", True),
        ("data.csv", b"a,b\n1,2\n", True),
        ("net.params.safetensors", b"\0\1\2", True),
        ("noise", b"\0\1\2", True),
    ],
)
def test_a_printed_stage_overwrites_no_source(
    pjc_run: Run, given: list[Options], name: str, contents: bytes, kept: bool
) -> None:
    Path(name).write_bytes(contents)
    code, _, err = pjc_run("net.pjn", "--emit", "net", "-o", name)
    assert code == kept and (f"{name} would be overwritten" in err) == kept
    assert (Path(name).read_bytes() == contents) == kept
    assert pjc_run("net.pjn", "--emit", "net", "-o", name, "--force")[0] == 0
    assert Path(name).read_text() == "net of a net\n"


def test_ctrl_c_while_compiling(monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options]) -> None:
    monkeypatch.setattr(FakeCompilation, "program", lambda self: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        assert pjc_run("net.pjn") == (130, "", "pjc: error: interrupted\n")
    finally:
        signal.signal(signal.SIGINT, before)


# --- training -------------------------------------------------------------------------------------

TRAIN = ["train", "net.pjn", "--data", "digits"]


def history(path: str = "net.history.csv") -> list[dict[str, str]]:
    """Return the rows of a history, without the times."""
    with Path(path).open(newline="") as stream:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(stream)]


def means(path: str = "net.params.safetensors") -> np.ndarray[Any, Any]:
    return load_file(path)["means"]


def test_what_to_expect_of_a_solver_is_said_before_training(pjc_run: Run, given: list[Options]) -> None:
    code, out, _ = pjc_run(*TRAIN, "--epochs", 1, "--solver", "ap")
    assert code == 0 and out.index("warning: ap weakens what the losses ask") < out.index("epoch 1/1")
    assert "there are 4 between them and the farthest parameter" in out
    assert "weakens" not in pjc_run(*TRAIN, "--epochs", 1, "--force")[1]


def test_train_prints_and_writes(pjc_run: Run, given: list[Options]) -> None:
    code, out, err = pjc_run(*TRAIN, "--epochs", 3, "--seed", 5)
    assert code == 0 and not err
    lines = out.splitlines()
    assert lines[0] == "digits: 1294 to train on, 144 to validate, 359 to test; batches of 32"
    number = r"\d\.\d+(e-\d+)?"
    for epoch, line in enumerate(lines[1:4], 1):
        scores = r"training accuracy \d\d\.\d%, validation accuracy \d\d\.\d%"
        pattern = rf"epoch {epoch}/3: gap {number}, {scores}, \d+\.\d s"
        assert re.fullmatch(pattern, line), line
    written = ["net.params.safetensors", "net.history.csv", "net.pjx"]
    assert lines[4:7] == [f"wrote {name}" for name in written]
    found = re.fullmatch(r"test accuracy: (\d\d\.\d)%", lines[7])
    assert found and float(found[1]) > 80 and len(lines) == 8
    assert sorted(os.listdir()) == sorted([*written, "net.pjn"])
    assert [row["epoch"] for row in history()] == ["1", "2", "3"]
    with safe_open("net.params.safetensors", framework="numpy") as file:
        assert (file.metadata()["epoch"], file.metadata()["seed"]) == ("3", "5")


def test_train_again_gives_the_same_numbers(pjc_run: Run, given: list[Options]) -> None:
    results = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        _, out, _ = pjc_run(*TRAIN, "--epochs", 2, "--seed", seed, "-o", f"{name}/run")
        path = f"{name}/run"
        results.append((means(f"{path}.params.safetensors").tolist(), history(f"{path}.history.csv")))
        assert f"wrote {path}.pjx" in out
    assert results[0] == results[1] and results[0] != results[2]


@pytest.mark.parametrize("left", ["net.params.safetensors", "net.history.csv", "net.best.safetensors"])
def test_no_run_writes_over_another(pjc_run: Run, given: list[Options], left: str) -> None:
    Path(left).write_bytes(b"of another run")
    code, _, err = pjc_run(*TRAIN, "--epochs", 1)
    said = (
        f"{left} was written by another run; --resume goes on from that, --force writes over it, and -o NAME"
    )
    assert code == 1 and said in err and not given
    assert Path(left).read_bytes() == b"of another run" and sorted(os.listdir()) == sorted([left, "net.pjn"])
    assert pjc_run(*TRAIN, "--epochs", 1, "-o", "elsewhere/")[0] == 0
    code, out, _ = pjc_run(*TRAIN, "--epochs", 1, "--force")
    assert code == 0 and len(history()) == 1
    assert (f"warning: {left} stays as an earlier run left it" in out) == ("best" in left)
    code, _, err = pjc_run(*TRAIN, "--epochs", 1, "--force", "--resume")
    assert code == 1 and "give one" in err


@pytest.mark.parametrize("other", ["sub/net.pjn", "net.onnx", "net.mlir"])
def test_a_model_never_takes_the_names_of_another(pjc_run: Run, given: list[Options], other: str) -> None:
    Path("sub").mkdir()
    Path(other).write_text("another net")
    assert pjc_run(*TRAIN, "--epochs", 1, "-o", "runs/")[0] == 0
    before = {path: path.read_bytes() for path in Path("runs").iterdir()}
    for resumed in ([], ["--resume"]):
        code, _, err = pjc_run("train", other, *TRAIN[2:], "--epochs", 1, "-o", "runs/", *resumed)
        assert code == 1 and ("its network is another" if resumed else "was written by another run") in err
    assert before == {path: path.read_bytes() for path in Path("runs").iterdir()}


def test_a_run_compiles_over_its_own_program_and_no_other(pjc_run: Run, given: list[Options]) -> None:
    assert pjc_run("net.pjn")[0] == 0 and pjc_run(*TRAIN, "--epochs", 1)[0] == 0
    Path("other.pjn").write_text("a net")
    for name in ("net.pjx", "words"):
        Path("other.pjx").write_bytes(Path("net.pjx").read_bytes() if name == "net.pjx" else b"words")
        code, _, err = pjc_run("train", "other.pjn", *TRAIN[2:], "--epochs", 1)
        assert code == 1 and "other.pjx would be overwritten, which is" in err
        assert not Path("other.params.safetensors").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_found_before_training(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options], number: int
) -> None:
    def allocate(handle: int, start: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    code, out, err = pjc_run(*TRAIN, "--epochs", 1)
    assert code == 1 and f"net.params.safetensors cannot be written: {os.strerror(number)}" in err
    assert "at least 5120 bytes" in err and "epoch" not in out and os.listdir() == ["net.pjn"]


@pytest.mark.parametrize("where", ["made/", "."])
def test_train_into_a_folder(pjc_run: Run, given: list[Options], where: str) -> None:
    assert pjc_run(*TRAIN, "--epochs", 1, "-o", where)[0] == 0
    assert (Path(where) / "net.params.safetensors").exists()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, batches: int, times: int = 1) -> None:
    """Send Ctrl-C after some batches, as the loop asks whether to stop."""
    asked = 0

    def call(self: Any) -> bool:
        nonlocal asked
        asked += 1
        if asked == batches:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return bool(self.asked)

    monkeypatch.setattr(train_view.Interrupt, "__call__", call)


@pytest.mark.parametrize("batches", [3, 40, 41, 60])
def test_ctrl_c_keeps_what_there_is_and_resume_goes_on_exactly(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options], batches: int
) -> None:
    assert pjc_run(*TRAIN, "--epochs", 3, "-o", "whole")[0] == 0
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        interrupt_after(patch, batches)
        code, out, err = pjc_run(*TRAIN, "--epochs", 3)
    assert code == 130 and "stopping after this batch; Ctrl-C again aborts" in err
    assert "--resume goes on from here" in out and "test accuracy: " in out
    assert signal.getsignal(signal.SIGINT) is handler
    assert not np.array_equal(means(), means("whole.params.safetensors"))
    code, out, _ = pjc_run(*TRAIN, "--epochs", 3, "--resume")
    assert code == 0 and "epoch 3/3" in out
    np.testing.assert_array_equal(means(), means("whole.params.safetensors"))
    assert history() == history("whole.history.csv") and len(history()) == 3


def test_second_ctrl_c_aborts_and_leaves_the_last_checkpoint(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options]
) -> None:
    interrupt_after(monkeypatch, 60, times=2)
    code, out, err = pjc_run(*TRAIN, "--epochs", 3)
    assert code == 130 and err.endswith("pjc: error: interrupted\n") and "test acc" not in out
    assert [row["epoch"] for row in history()] == ["1"]


def test_resume_with_more_epochs_equals_one_run(pjc_run: Run, given: list[Options]) -> None:
    pjc_run(*TRAIN, "--epochs", 4, "-o", "whole")
    pjc_run(*TRAIN, "--epochs", 2)
    code, out, _ = pjc_run(*TRAIN, "--epochs", 4, "--resume")
    assert code == 0 and "epoch 3/4" in out and "epoch 2/4" not in out
    np.testing.assert_array_equal(means(), means("whole.params.safetensors"))
    assert history() == history("whole.history.csv")
    code, out, _ = pjc_run(*TRAIN, "--epochs", 4, "--resume")
    assert code == 0 and "epoch 4/4" not in out and "test accuracy" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "1"], "its seed was 0, now it is 1"),
        (["--batch", "16"], "its batch was 32, now it is 16"),
        (["--solver", "ap"], "its solver was sweep, now it is ap"),
        (["--iterations", "7"], "its iterations was 50, now it is 7"),
        (["--solver", "rrr", "--step", "0.5"], "its solver was sweep, now it is rrr{step=0.5}"),
        (["--unroll"], "its unroll was False, now it is True"),
        (["--memory", "8G"], "its memory was None, now it is 8589934592"),
        (["--test", "0.3"], "its data was 1294 samples to train on, checksum"),
        (["--normalize", "standard"], "its data was"),
    ],
)
def test_resume_of_another_run(pjc_run: Run, given: list[Options], change: list[str], message: str) -> None:
    pjc_run(*TRAIN, "--epochs", 1)
    before = Path("net.params.safetensors").read_bytes()
    code, _, err = pjc_run(*TRAIN, "--epochs", 2, "--resume", *change)
    assert code == 1 and message in err and "without --resume" in err
    assert "--params net.params.safetensors" in err
    assert Path("net.params.safetensors").read_bytes() == before


def test_resume_of_another_network_or_of_nothing(pjc_run: Run, given: list[Options]) -> None:
    code, _, err = pjc_run(*TRAIN, "--resume")
    assert code == 1 and "nothing to resume: no net.params.safetensors" in err
    pjc_run(*TRAIN, "--epochs", 1)
    Path("net.pjn").write_text("another net")
    code, _, err = pjc_run(*TRAIN, "--epochs", 2, "--resume")
    assert code == 1 and "cannot be resumed: its network is another" in err
    Path("net.params.safetensors").write_bytes(b"cut")
    code, _, err = pjc_run(*TRAIN, "--epochs", 2, "--resume")
    assert code == 1 and "not a whole safetensors file" in err


def test_checkpoints_of_an_older_pjc_are_refused(pjc_run: Run, given: list[Options]) -> None:
    pjc_run(*TRAIN, "--epochs", 1)
    save_file({"means": means()}, "net.params.safetensors", {"format": "pjc-training-1"})
    code, _, err = pjc_run(*TRAIN, "--epochs", 2, "--resume")
    assert code == 1 and "was written by an older pjc, whose runs cannot be resumed" in err
    assert "--params net.params.safetensors" in err


def test_options_that_are_not_used_are_refused(pjc_run: Run, given: list[Options]) -> None:
    code, out, err = pjc_run("net.pjn", "--solver", "ap", "--step", "0.5")
    assert code == 1 and not out and not given
    assert err == "pjc: error[PJC0404]: the solver ap takes no step\nhint: it is a number of rrr\n"
    code, _, err = pjc_run("net.pjn", "--emit", "net", "--explain")
    assert code == 1 and "give one of them" in err
    code, _, err = pjc_run("net.pjn", "-D", "hidden")
    assert code == 1 and "expected NAME=NUMBER after -D, found 'hidden'" in err


def test_start_from_parameters(pjc_run: Run, given: list[Options]) -> None:
    pjc_run(*TRAIN, "--epochs", 1, "-o", "first")
    first = "first.params.safetensors"
    assert pjc_run(*TRAIN, "--epochs", 1, "--params", first)[0] == 0
    assert not np.array_equal(means(), means(first))
    assert [row["epoch"] for row in history()] == ["1"]
    pjc_run(*TRAIN, "--epochs", 1, "-o", "fresh")
    assert not np.array_equal(means(), means("fresh.params.safetensors"))
    save_file({"other": np.zeros(3)}, "other.safetensors")
    code, _, err = pjc_run(*TRAIN, "--params", "other.safetensors", "-o", "other")
    assert code == 1 and "'means' is missing" in err
    code, _, err = pjc_run(*TRAIN, "--params", first, "--resume")
    assert code == 1 and "takes no --params" in err


def test_test_data_and_no_validation(pjc_run: Run, given: list[Options]) -> None:
    x = np.random.default_rng(0).random((70, 8, 8))
    np.savez("other.npz", x=x, y=np.arange(70) % 10)
    arguments = ["--epochs", 1, "--test-data", "other.npz", "--validation", 0]
    code, out, _ = pjc_run(*TRAIN, *arguments)
    assert code == 0
    assert "digits: 1797 to train on, 70 to test; batches of 32" in out and "validation" not in out
    assert history()[0]["validation_accuracy"] == ""
    code, _, err = pjc_run(*TRAIN, *arguments, "--test", 0.1, "--force")
    assert code == 1 and "goes without --test-data" in err
    code, out, _ = pjc_run(*TRAIN, "--epochs", 1, "--test", 0, "--force")
    assert code == 0 and "test" not in out.splitlines()[-1]


def test_keep_best(monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options]) -> None:
    """Means that run away after two epochs: the best epoch is kept, also over a resume, and tested."""

    class Worse(FakeProgram):
        def update(
            self, params: Any, x: Any, y: Any, iterations: int | None = None, finish: bool = True
        ) -> Any:
            params, info = super().update(params, x, y, iterations)
            noise = jax.random.normal(jax.random.key(0), params["means"].shape)
            return {"means": params["means"] + 0.004 * noise * (1 + jnp.abs(params["means"]))}, info

    use(monkeypatch, Worse(rate=0.01))
    best = "net.best.safetensors"
    code, out, _ = pjc_run(*TRAIN, "--epochs", 4, "--keep-best")
    scores = [float(row["validation_accuracy"]) for row in history()]
    epoch = scores.index(max(scores)) + 1
    assert 1 < epoch < 4
    assert code == 0 and f"wrote {best}, of epoch {epoch}, which validated best" in out
    kept, tested = means(best), out.splitlines()[-1]
    assert pjc_run(*TRAIN, "--epochs", epoch, "--force")[0] == 0
    np.testing.assert_array_equal(means(), kept)
    assert pjc_run(*TRAIN, "--epochs", epoch, "--keep-best", "--force")[0] == 0
    code, out, _ = pjc_run(*TRAIN, "--epochs", 4, "--keep-best", "--resume")
    assert f"of epoch {epoch}, which" in out and out.splitlines()[-1] == tested
    np.testing.assert_array_equal(means(best), kept)
    code, _, err = pjc_run(*TRAIN, "--keep-best", "--validation", 0, "--force")
    assert code == 1 and "--keep-best needs samples to validate with" in err


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience(monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options], patience: int) -> None:
    """Means that stay as they are validate best after the first epoch: the run ends so many epochs later."""
    use(monkeypatch, FakeProgram(rate=0.0))
    code, out, _ = pjc_run(*TRAIN, "--epochs", 9, "--patience", patience)
    assert code == 0 and [row["epoch"] for row in history()] == [
        str(1 + each) for each in range(1 + patience)
    ]
    why = f"validation accuracy was no better for {patience} epochs"
    assert f"ended after {1 + patience} of 9 epochs: {why}" in out and "--resume" not in out
    assert "wrote net.best.safetensors, of epoch 1, which validated best" in out
    assert out.splitlines()[-1].startswith("test accuracy: ")
    code, out, _ = pjc_run(*TRAIN, "--epochs", 9, "--patience", patience, "--resume")
    assert code == 0 and f"epoch {2 + patience}/9" not in out and why in out
    code, out, _ = pjc_run(*TRAIN, "--epochs", 9, "--patience", patience + 2, "--resume")
    assert code == 0 and f"ended after {3 + patience} of 9 epochs" in out
    code, _, err = pjc_run(*TRAIN, "--patience", patience, "--validation", 0, "-o", "other")
    assert code == 1 and "--patience needs samples to validate with" in err


def test_a_run_that_gets_better_has_all_its_epochs(pjc_run: Run, given: list[Options]) -> None:
    code, out, _ = pjc_run(*TRAIN, "--epochs", 3, "--patience", 3)
    assert code == 0 and len(history()) == 3 and "ended after" not in out
    for row in history():
        assert float(row["training_accuracy"]) > 0.7 and float(row["validation_accuracy"]) > 0.7


def table(path: str = "net.runs.csv") -> list[dict[str, str]]:
    """Return the rows of a table of runs, without the times."""
    with Path(path).open(newline="") as stream:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(stream)]


@pytest.mark.parametrize("more", [[], ["--keep-best"], ["--patience", 1]])
def test_several_runs(pjc_run: Run, given: list[Options], more: list[Any]) -> None:
    code, out, err = pjc_run(*TRAIN, "--epochs", 2, "--runs", 3, "--seed", 4, *more)
    assert code == 0, err
    assert len(given) == 1 and out.count("epoch ") == 0 and out.count("\nrun ") == 3
    rows = table()
    assert [row["seed"] for row in rows] == ["4", "5", "6"]
    scores = [float(row["validation"]) for row in rows]
    for row in rows:
        alone = ["--seed", row["seed"], "-o", f"one{row['seed']}/"]
        assert pjc_run(*TRAIN, "--epochs", 2, *more, *alone)[0] == 0
        told = [float(each["validation_accuracy"]) for each in history(f"one{row['seed']}/net.history.csv")]
        assert float(row["validation"]) == (max(told) if more else told[-1])
    best = rows[scores.index(max(scores))]["seed"]
    name = "net.best.safetensors" if more else "net.params.safetensors"
    np.testing.assert_array_equal(means(), means(f"one{best}/{name}"))
    assert history() == history(f"one{best}/net.history.csv")
    assert f"wrote net.params.safetensors, of seed {best}, which validates best" in out
    mean, spread = 100 * np.mean(scores), 100 * np.std(scores, ddof=1)
    told = f"validation accuracy of 3 runs: {mean:.1f}% mean, {spread:.2f}% standard deviation"
    assert told in out and f"{100 * max(scores):.1f}% of the best" in out
    assert "seconds to 99% of the best validation score: " in out
    assert out.splitlines()[-1].startswith("test accuracy of 3 runs: ")
    assert pjc_run(*TRAIN, "--epochs", 2, "--runs", 3, "--seed", 4, *more, "-o", "again/")[0] == 0
    assert table("again/net.runs.csv") == rows


@pytest.mark.parametrize("batches", [10, 83, 100, 170])
def test_ctrl_c_keeps_the_runs_that_are_done(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options], batches: int
) -> None:
    several = ["--epochs", 2, "--runs", 3]
    assert pjc_run(*TRAIN, *several, "-o", "whole/")[0] == 0
    with monkeypatch.context() as patch:
        interrupt_after(patch, batches)
        code, out, _ = pjc_run(*TRAIN, *several)
    done = int("stopped after 1 of 3" in out) + 2 * int("stopped after 2 of 3" in out)
    assert code == 130 and done == len(table() if done else []) and done == (0 if batches < 80 else done)
    assert done or not Path("net.params.safetensors").exists()
    code, _, err = pjc_run(*TRAIN, *several, "--resume")
    if not done:
        assert code == 1 and "nothing to resume" in err
        return
    assert code == 0 and table() == table("whole/net.runs.csv")
    np.testing.assert_array_equal(means(), means("whole/net.params.safetensors"))
    for change, said in (
        ("--seed", "its runs are not those from --seed 1"),
        ("--epochs", "its epochs of a run"),
    ):
        code, _, err = pjc_run(*TRAIN, *several, "--resume", change, 1)
        assert code == 1 and said in err
    Path("net.runs.csv").write_text("seed,what\n1,2\n")
    code, _, err = pjc_run(*TRAIN, *several, "--resume")
    assert code == 1 and "net.runs.csv is not a table of runs that can be read" in err


def test_several_runs_that_cannot_be(pjc_run: Run, given: list[Options]) -> None:
    for more, said in (
        (["--validation", 0], "--runs needs samples to validate with"),
        (["--distributed"], "--runs is for one process"),
        (["--seed", 2**31 - 1], "goes past seed 2147483647"),
    ):
        code, _, err = pjc_run(*TRAIN, "--runs", 2, *more)
        assert code == 1 and said in err
    assert pjc_run(*TRAIN, "--runs", 0)[0] == 2


def test_what_is_said_at_which_level(pjc_run: Run, given: list[Options]) -> None:
    few = [*TRAIN, "--epochs", 1, "--solver", "ap"]  # which there is a warning of
    said = {}
    for level in ("debug", "info", "warning", "error"):
        code, said[level], err = pjc_run(*few, "--force", "--log-level", level)
        assert code == 0 and not err
        lines = said[level].splitlines()
        assert any(line.startswith("epoch 1/1") for line in lines) == (level in ("debug", "info"))
        assert any(line.startswith("warning: ") for line in lines) == (level != "error")
        assert lines[-1].startswith("test accuracy: ") and "wrote net.pjx" in lines
    code, out, err = pjc_run(*few, "--force", "--quiet")
    assert (code, out, err) == (0, said["error"], "")
    code, _, err = pjc_run(*few, "--quiet")
    assert code == 1 and "was written by another run" in err
    code, _, err = pjc_run(*few, "--quiet", "--log-level", "debug")
    assert code == 1 and "give one of them" in err


@pytest.mark.parametrize(("high", "normalize"), [(255, "none"), (255, "unit"), (1, "none")])
def test_raw_pixels_are_told_of_once(pjc_run: Run, given: list[Options], high: int, normalize: str) -> None:
    x = np.random.default_rng(0).uniform(0, 1, size=(200, 8, 8))
    x[:, 0] = 1
    np.savez("pixels.npz", x=high * x, y=np.arange(200) % 10)
    arguments = ["train", "net.pjn", "--data", "pixels.npz", "--epochs", 3, "--normalize", normalize]
    code, out, _ = pjc_run(*arguments)
    assert code == 0 and out.count("as pixels do; --normalize unit") == (high > 1 and normalize == "none")
    assert out.count("no better than guessing") == 1


def test_split_into_three(pjc_run: Run, given: list[Options]) -> None:
    code, out, _ = pjc_run(*TRAIN, "--epochs", 1, "--split", "0.5,0.25,0.25")
    assert code == 0 and "digits: 899 to train on, 449 to validate, 449 to test" in out
    code, _, err = pjc_run(*TRAIN, "--split", "0.8,0.1,0.2")
    assert code == 2 and "three fractions that add up to 1, as in 0.8,0.1,0.1, found '0.8,0.1,0.2'" in err
    code, _, err = pjc_run(*TRAIN, "--split", "0.8,0.1,0.1", "--test", 0.1)
    assert code == 1 and "goes without --test and --validation" in err
    code, _, err = pjc_run(*TRAIN, "--split", "0.8,0.1,0.1", "--test-data", "digits")
    assert code == 1 and "third number of --split must be 0" in err
    code, _, err = pjc_run(*TRAIN, "--stride", 2, "--force")
    assert code == 1 and "--stride is for windows of a text" in err


def test_normalization_is_kept_with_the_parameters(pjc_run: Run, given: list[Options]) -> None:
    assert pjc_run(*TRAIN, "--epochs", 1, "--normalize", "standard")[0] == 0
    with safe_open("net.params.safetensors", framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["shift"].count(",") == metadata["scale"].count(",") == 63


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "digit"], "no data called 'digit'"),
        (["--data", "none.csv", "--target", "t"], "there is no file none.csv"),
        (["--data", "few.npz"], "--batch 14 or less"),
        (["--data", "few.npz", "--test", "0.01"], "too few to set 0.01 of them aside for test"),
        (["--data", "wide.npz"], r"[3], 3 entries, but 'x' of the network takes [64]"),
        (["--data", "digits", "--test-data", "wide.npz"], "wide.npz has shape [3]"),
        (["--data", "digits", "--target", "t"], "--target names a column of a CSV"),
        (["--data", "digits", "-o", "net.pjn/x"], "net.pjn cannot be made a directory"),
    ],
)
def test_data_that_cannot_be_used(
    pjc_run: Run, given: list[Options], arguments: list[str], message: str
) -> None:
    np.savez("few.npz", x=np.zeros((20, 64)), y=np.zeros(20, int))
    np.savez("wide.npz", x=np.zeros((20, 3)), y=np.zeros(20, int))
    code, _, err = pjc_run("train", "net.pjn", *arguments)
    assert code == 1 and err.startswith("pjc: error[PJC") and message in err
    assert not list(Path.cwd().glob("*.safetensors"))


def test_network_that_the_loop_does_not_train(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options]
) -> None:
    use(monkeypatch, FakeProgram(inputs=()))
    code, _, err = pjc_run(*TRAIN)
    assert code == 1 and "one input and at most one target, and this one has 0 and 1" in err
    use(monkeypatch, FakeProgram(rate=float("nan")))
    code, _, err = pjc_run(*TRAIN)
    assert code == 1 and "training diverged" in err


def test_numeric_targets_are_scored_by_their_error(
    monkeypatch: pytest.MonkeyPatch, pjc_run: Run, given: list[Options]
) -> None:
    class Linear(FakeProgram):
        def init(self, key: Any) -> Any:
            return {"means": np.zeros(3, np.float32)}

        def apply(self, params: Any, x: Any) -> Any:
            return x @ params["means"]

        def update(
            self, params: Any, x: Any, y: Any, iterations: int | None = None, finish: bool = True
        ) -> Any:
            error = y - self.apply(params, x)
            return {"means": params["means"] + 0.3 * error @ x / len(x)}, {"gap": (error**2).mean()}

    use(monkeypatch, Linear(inputs=(Spec("x", (32, 3)),), targets=(Spec("y", (32,)),)))
    x = np.random.default_rng(0).normal(size=(400, 3))
    rows = "\n".join(f"{a},{b},{c},{a - 2 * b}" for a, b, c in x.tolist())
    Path("a.csv").write_text(f"a,b,c,t\n{rows}\n")
    code, out, _ = pjc_run("train", "net.pjn", "--data", "a.csv", "--target", "t", "--epochs", 9)
    found = re.search(r"test rms error: (\S+)", out)
    assert code == 0 and found and float(found[1]) < 0.01
    assert "validation_rms_error" in history()[0]


def test_progress_bar_on_a_terminal() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    measures = Measures("gap", "accuracy")
    with train_view.View(terminal, 4, measures) as view:
        view.begin(Result({}, epoch=1, batch=5), 10)
        view.progress(6, 0.25)
        assert view.bar.tasks[0].completed == 16 and view.bar.tasks[0].total == 40
        view.epoch(Row(2, 1.5, 0.125, 0.975, training=0.99))
        view.progress(1, 0.5)
        view.bar.refresh()
    assert view.bar.tasks[0].completed == 21
    shown = Text.from_ansi(terminal.file.getvalue()).plain
    assert "epoch 2/4: gap 0.125, training accuracy 99.0%, validation accuracy 97.5%, 1.5 s" in shown
    assert "epoch 3/4" in shown and "gap 0.5, validation accuracy 97.5%" in shown


# --- with the real compiler -----------------------------------------------------------------------


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in an empty folder with a real network in it."""
    monkeypatch.chdir(tmp_path)
    Path("mlp.pjn").write_text(MODEL)
    return Path("mlp.pjn")


def test_compile_for_real(pjc_run: Run, model: Path) -> None:
    code, out, err = pjc_run(model, "-D", "hidden=8")
    assert code == 0 and not err and Path("mlp.pjx").stat().st_size > 1000
    assert re.search(r"cross_entropy +1", out) and re.search(r"dot +", out)
    assert f"parameters    {64 * 8 + 8 + 80}" in out


@pytest.mark.parametrize("stage", EMITTED)
def test_emit_for_real(pjc_run: Run, model: Path, stage: str) -> None:
    code, out, err = pjc_run(model, "--emit", stage)
    marks = {"pjn": "input x", "ast": "hidden", "net": "net.", "placed": "proj.", "hlo": "HloModule"}
    assert code == 0 and not err and marks.get(stage, f"{stage}.") in out


def test_print_ir_for_real(pjc_run: Run, model: Path) -> None:
    code, out, err = pjc_run(model, "--emit", "feas", "--print-ir-after", "feas-fuse")
    assert code == 0 and out.startswith("builtin.module")
    assert err.startswith("// ----- after feas-fuse -----\nbuiltin.module")
    code, out, err = pjc_run(model, "--emit", "net", "--print-ir-after", "feas-fuse")
    assert code == 1 and not out and "no pass 'feas-fuse' ran; the passes of this" in err


def test_wrong_source_for_real(pjc_run: Run, model: Path) -> None:
    model.write_text(MODEL.replace("relu(x", "rleu(x"))
    code, out, err = pjc_run(model)
    assert code == 1 and not out
    assert err.startswith("mlp.pjn:9:5: error[PJC0105]: ") and "relu" in err and "^" in err
    code, _, err = pjc_run(model, "-D", "nothing")
    assert code == 1 and "nothing" in err
    model.write_bytes(b"\xff\xfe")
    code, _, err = pjc_run(model)
    assert code == 1 and "not UTF-8" in err
    for command in ([], ["train", "--data", "digits"]):
        code, _, err = pjc_run(*command, ".")
        assert code == 1 and err == "pjc: error[PJC1101]: . is a directory; name a .pjn file in it\n"


def test_what_does_not_fit_into_memory_is_refused(pjc_run: Run, tmp_path: Path) -> None:
    model = tmp_path / "wide.pjn"
    model.write_text(
        "input x: f32[batch, 64]\ntarget y: class[batch, 10]\n"
        "param w: f32[64, 10] = he_normal\nz = x @ w\noutput z\nrequire margin(z, y)\n"
    )
    code, _, err = pjc_run("train", model, "--data", "digits", "--memory", "4K", "-o", tmp_path / "made")
    assert code == 1 and "MiB on each device, which has 0.0 MiB" in err and "--batch" in err
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.slow
def test_train_and_resume_for_real(pjc_run: Run, model: Path) -> None:
    small = ["--solver", "dr", "--iterations", 10, "--batch", 32]
    arguments = ["train", model, "--data", "digits", *small]
    code, out, err = pjc_run(*arguments, "--epochs", 3, "-o", "whole")
    assert code == 0 and not err, err
    found = re.search(r"\ntest accuracy: (\d+\.\d)%\n", out)
    assert found and float(found[1]) > 50
    assert pjc_run(*arguments, "--epochs", 1)[0] == 0
    assert pjc_run(*arguments, "--epochs", 3, "--resume")[0] == 0
    whole = load_file("whole.params.safetensors")
    for name, value in load_file("mlp.params.safetensors").items():
        np.testing.assert_array_equal(value, whole[name])
    assert history("mlp.history.csv") == history("whole.history.csv")


LIMIT = 600
"""Seconds after which a process hangs, however much else runs on the machine."""


def start(*arguments: object, **more: Any) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    command = [sys.executable, "-m", "pjc.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.slow
def test_double_precision_for_real(model: Path) -> None:
    process = start(
        *("train", model, "--data", "digits", "--epochs", 1, "--dtype", "f64"),
        *("--solver", "dr", "--iterations", 2),
    )
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0 and "test accuracy" in out, err
    assert {str(v.dtype) for v in load_file("mlp.params.safetensors").values()} == {"float64"}


@pytest.mark.slow
def test_ctrl_c_for_real(model: Path) -> None:
    process = start("train", model, "--data", "digits", "--epochs", 10**6)
    assert process.stdout is not None
    for line in process.stdout:  # which ends where the process does
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "test accuracy: " in out, err
    assert "Traceback" not in err and Path("mlp.params.safetensors").exists()


def test_broken_pipe_is_quiet(model: Path) -> None:
    process = start(model, "--emit", "net")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(LIMIT) == 141
    process.stderr.close()


def test_explain_names_every_dot_its_form_and_why(pjc_run: Run, tmp_path: Path) -> None:
    model = tmp_path / "two.pjn"
    model.write_text(
        "input x: f32[batch, 4]\ntarget y: class[batch, 3]\n"
        "param w: f32[4, 3] = he_normal\nz = x @ w\noutput z\nrequire margin(z, y)\n"
    )
    for given, wanted in (
        (["--solver", "ap"], "matmul is shared: in ap all copies agree"),
        ([], "matmul is shared: a sweep starts where all copies agree"),
        (["--solver", "dr"], "matmul is held: its copies fit"),
        (["--solver", "dr", "--copies", "matmul=factored"], "matmul is factored: asked for"),
        (["-O0"], "matmul is exact: asked for"),
        (["--solver", "dm", "--copies", "shared"], "matmul is exact: shared was asked for, but dm"),
    ):
        code, out, _ = pjc_run(model, "--batch", 8, "--explain", *given)
        assert code == 0 and wanted in out and "8x4 @ 4x3" in out, (given, out)
        assert not model.with_suffix(".pjx").exists()
    for size, form in (("1G", "held"), ("16K", "factored")):
        assert f"matmul is {form}" in pjc_run(model, "--solver", "dr", "--explain", "--memory", size)[1]
    written = model.with_suffix(".out.pjx")
    code, out, _ = pjc_run(model, "--solver", "dr", "--batch", 8, "--explain", "-o", written)
    assert code == 0 and "matmul is held" in out and f"wrote {written}" in out and written.exists()
    code, _, err = pjc_run(model, "--explain", "--copies", "matmull=held")
    assert code == 1 and "there is no dot 'matmull'; there are matmul" in err
