"""What a new user types, right and wrong: exit status, what is said, and which files are written.

Each command runs in a folder of its own that holds the same files. Nothing of it may change but what the
command is for, and no command may end in a traceback or an internal error.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from running import runner
from safetensors.numpy import save_file

from pjc import __version__
from pjc.commands import COMMANDS
from pjc.runtime.projections import REGISTERED

NET = """\
const hidden = 4
input x: f32[batch, 3]
target y: class[batch, 2]
param w: f32[3, hidden] = he_normal
param b: f32[hidden] = zeros
param v: f32[hidden, 2] = he_normal
h = sum_relu(x @ w, b)
output logits = h @ v
require cross_entropy(logits, y)
"""
OPERATOR = """\
import pjc

def halved(x, z):
    new = (x + z / 2) / 1.25
    return new, new / 2

pjc.operator("halve", "[n] -> [n]", function=lambda x: x / 2, projection=halved)
"""
HISTORY = "epoch,seconds,demand,validation_accuracy,largest_t,violation\n1,0.5,0.4,0.8,,\n2,0.9,0.2,0.9,,\n"
SHORT = "--data data.csv --target y --batch 4 --epochs 2"


@dataclass(frozen=True)
class Case:
    """A command, its exit status, words on stdout or stderr, and the files that it writes."""

    line: str
    code: int
    said: str
    writes: tuple[str, ...] = ()
    slow: bool = False


def trained(*more: str, name: str = "net") -> tuple[str, ...]:
    """Return the files that a run writes."""
    return tuple(f"{name}.{each}" for each in ("pjx", "params.safetensors", "history.csv", *more))


CASES = (
    # Asking.
    Case("", 2, "usage: pjc MODEL"),
    Case("--help", 0, "examples:"),
    Case("--version", 0, f"pjc {__version__}"),
    Case("-v", 2, "see pjc --help"),
    Case("help", 0, "examples:"),
    Case("help train", 0, "--resume"),
    Case("help trian", 1, "did you mean the command 'train'?"),
    Case("train --help", 0, "--resume"),
    Case("train --version", 0, f"pjc {__version__}"),
    Case("opt --version", 0, f"pjc {__version__}"),
    # Compiling.
    Case("net.pjn", 0, "wrote net.pjx", ("net.pjx",)),
    Case("compile net.pjn -o other.pjx", 0, "wrote other.pjx", ("other.pjx",)),
    Case("net.pjn --emit feas", 0, "feas.problem"),
    Case("net.pjn --emit net -o net.mlir", 0, "", ("net.mlir",)),
    Case("net.pjn -D hidden=8 --emit net", 0, "3x8"),
    Case("net.pjn -D hiden=8", 1, "did you mean 'hidden'?"),
    Case("net.pjn -D hidden", 1, "expected NAME=NUMBER after -D"),
    Case("net.pjn --emit llvm", 2, "unknown emit 'llvm'; known are"),
    Case("net.pjn --solver adam", 2, "unknown solver 'adam'"),
    Case("net.pjn --solvr ap", 2, "did you mean --solver?"),
    Case("net.pjn --epochs 3", 2, "--epochs is an option of pjc train"),
    Case("net.pjn train", 2, "a command comes first"),
    Case("net.pjn --batch", 2, "expected one argument"),
    Case("net.pjn --batch 0", 2, "expected a whole number from 1"),
    Case("net.pjn --batch four", 2, "expected a whole number from 1, found 'four'"),
    Case("net.pjn other.pjn", 2, "unrecognized arguments: other.pjn"),
    Case("trian net.pjn", 1, "did you mean the command 'train'?"),
    Case("nett.pjn", 1, "did you mean net.pjn?"),
    Case("empty.pjn", 1, "empty.pjn is empty"),
    Case("folder", 1, "folder is a directory"),
    Case("/dev/null", 1, "/dev/null"),
    Case(
        "tanh.pjn", 1, "tanh.pjn:7:5: error[PJC0105]: unknown name 'tanh', a function that has no projection"
    ),
    Case("data.csv", 1, "data.csv:1:"),
    Case("broken.onnx", 1, "broken.onnx"),
    Case("net.pjn -o net.pjn", 1, "would overwrite the source"),
    Case("net.pjn -o folder", 1, "folder cannot be written: Is a directory"),
    Case("net.pjn -o data.csv/net.pjx", 1, "data.csv"),
    # Training.
    Case(f"train net.pjn {SHORT}", 0, "test accuracy", trained(), slow=True),
    Case(f"train net.pjn {SHORT} --keep-best", 0, "test accuracy", trained("best.safetensors"), slow=True),
    Case(f"train net.pjn {SHORT} -o mine", 0, "wrote mine.pjx", trained(name="mine"), slow=True),
    Case("train net.pjn", 2, "required: --data"),
    Case("train net.pjn --dat data.csv", 2, "did you mean --data?"),
    Case("train --data data.csv", 2, "required: MODEL"),
    Case("train net.pjn --data", 2, "expected one argument"),
    Case("train net.pjn --data nothing.csv", 1, "nothing.csv"),
    Case("train net.pjn --data empty.csv", 1, "empty.csv"),
    Case("train net.pjn --data folder", 1, "folder"),
    Case("train net.pjn --data net.pjn", 1, "net.pjn"),
    Case("train net.pjn --data broken.npz", 1, "broken.npz"),
    Case("train net.pjn --data data.csv --target z", 1, "z"),
    Case("train net.pjn --data digits", 1, "64"),
    Case("train nett.pjn --data data.csv", 1, "did you mean net.pjn?"),
    Case(f"train net.pjn {SHORT} --epochs 0", 2, "expected a whole number from 1, found '0'"),
    Case(f"train net.pjn {SHORT} --split 0.5,0.5", 2, "three fractions that add up to 1"),
    Case(f"train net.pjn {SHORT} --resume", 1, "nothing to resume"),
    Case(f"train run.pjn {SHORT} --resume", 1, "not the state of a training run"),
    Case(f"train net.pjn {SHORT} --resume --params run.params.safetensors", 1, "takes no --params"),
    Case(f"train net.pjn {SHORT} --params broken.safetensors", 1, "not a whole safetensors file"),
    Case(f"train net.pjn {SHORT} -o data.csv/run", 1, "data.csv"),
    # Exporting.
    Case("export net.pjn run.params.safetensors", 0, "wrote net.onnx", ("net.onnx",), slow=True),
    Case("export net.pjn", 2, "required: PARAMS.safetensors"),
    Case("export net.pjn none.safetensors", 1, "there is no file none.safetensors"),
    Case("export net.pjn broken.safetensors", 1, "not a whole safetensors file"),
    Case("export spoilt.pjx run.params.safetensors", 1, "spoilt.pjx"),
    Case(
        "export net.pjn run.params.safetensors -o run.params.safetensors", 1, "would overwrite what is read"
    ),
    # Passes.
    Case("diff net.pjn net.pjn --stage net", 0, "the same at net"),
    Case("diff net.pjn none.pjn", 1, "there is no file none.pjn"),
    Case("opt net.pjn -p net-infer-shapes", 0, "net.network"),
    Case("opt net.pjn -o net.mlir", 0, "", ("net.mlir",)),
    Case("opt net.pjn -p net-infer-shape", 1, "did you mean 'net-infer-shapes'?"),
    Case("opt net.pjn -o net.pjn", 1, "would overwrite the source"),
    Case("opt net.pjn -o data.csv", 1, "data.csv would be overwritten, which is a file that holds no IR"),
    Case("opt none.mlir", 1, "there is no file none.mlir"),
    Case("opt data.csv", 1, "data.csv"),
    Case("opt net.pjn -p", 2, "expected one argument"),
    # Operators.
    Case("check-operator operators.py --samples 20", 0, "passed", slow=True),
    Case("check-operator operators.py third", 1, "registers no operator 'third'; it has halve"),
    Case("check-operator none.py", 1, "there is no file none.py"),
    Case("check-operator net.pjn", 1, "net.pjn"),
    Case("check-operator operators.py --samples -1", 2, "--samples"),
    # Looking at runs, and at the installation.
    Case("plot run.history.csv", 0, "wrote run.history.png", ("run.history.png",)),
    Case("plot run.history.csv run.history.csv -o runs.svg", 0, "wrote runs.svg", ("runs.svg",)),
    Case("plot data.csv", 1, "data.csv is no history of a run"),
    Case("plot net.pjn", 1, "net.pjn is no"),
    Case("plot none.csv", 1, "there is no file none.csv"),
    Case("plot run.history.csv -o run.txt", 1, "expected a name that ends in .png or .svg"),
    Case("plot", 2, "required: HISTORY.csv"),
    Case("view net.pjn", 0, "wrote net.report.html", ("net.report.html",)),
    Case(
        "view net.pjn --history run.history.csv -o out/r.html", 0, "wrote out/r.html", ("out", "out/r.html")
    ),
    Case("view net.pjn --history data.csv", 1, "data.csv is no history of a run"),
    Case("view net.pjn -o net.pjn", 1, "would overwrite what is read"),
    Case("view net.pjn --history run.history.csv -o run.history.csv", 1, "would overwrite what is read"),
    Case("view net.pjn -o data.csv", 1, "which is no report of pjc view"),
    Case("view net.pjn -o folder", 1, "folder"),
    Case("view net.pjn --mesh sample=2", 1, "--mesh makes no difference to a report"),
    Case("view tanh.pjn", 1, "tanh.pjn:"),
    Case("view none.pjn", 1, "there is no file none.pjn"),
    Case("view", 2, "required: MODEL"),
    Case("doctor --jso", 2, "did you mean --json?"),
    Case("doctor now", 2, "unrecognized arguments: now"),
    Case("doctor", 0, "save and load", slow=True),
    Case("--print-completion fish", 1, "takes one of bash, zsh, tcsh"),
    # What is not there yet.
    Case("explain PJC0105", 0, "a name that means nothing here"),
    Case("explain PJC0000", 1, "PJC0"),
    Case("solve net.pjn --data data.csv", 1, "is never met"),
    Case("info net.pjn", 0, "float32[3, 4]", slow=True),
    Case("info data.csv", 0, "columns"),
    Case("info spoilt.pjx", 1, "spoilt.pjx"),
    Case("info none.pjx", 1, "none.pjx"),
    Case(
        "evaluate net.pjn --params run.params.safetensors --data data.csv --target y",
        0,
        "accuracy",
        slow=True,
    ),
    Case("evaluate net.pjn --data data.csv --target y", 1, "--params"),
    Case("evaluate net.pjn --params run.params.safetensors", 2, "required: --data"),
    Case(
        "predict net.pjn --params run.params.safetensors --data data.csv --target y",
        0,
        "prediction",
        slow=True,
    ),
    Case(
        "predict net.pjn --params run.params.safetensors --data data.csv --target y -o p.csv",
        0,
        "",
        ("p.csv",),
        slow=True,
    ),
    Case("predict net.pjn --params broken.safetensors --data data.csv", 1, "broken.safetensors"),
    Case("predict net.pjn --params run.params.safetensors", 1, "--data"),
    Case(f"train run.pjn {SHORT} --quiet --patience", 2, "expected one argument"),
    Case(f"train net.pjn {SHORT} --patience 0", 2, "expected a whole number from 1"),
    Case(f"train net.pjn {SHORT} --quiet", 0, "test accuracy", trained(), slow=True),
    Case(f"train net.pjn {SHORT} --runs 2", 0, "", trained("runs.csv"), slow=True),
    Case(f"train net.pjn {SHORT} --resume --force", 1, "give one"),
    Case(f"train run.pjn {SHORT} --force", 0, "", trained(name="run"), slow=True),
    Case(f"train net.pjn {SHORT} --config none.toml", 1, "none.toml"),
    Case(f"train run.pjn {SHORT}", 1, "--force writes over it"),
    Case("net.pjn --emit net -o data.csv", 1, "data.csv would be overwritten"),
    Case("net.pjn -o spoilt.pjx", 1, "spoilt.pjx would be overwritten"),
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the commands find."""
    folder = tmp_path_factory.mktemp("original")
    texts = {
        "net.pjn": NET,
        "run.pjn": NET,
        "tanh.pjn": NET.replace("sum_relu(x @ w, b)", "tanh(x @ w)"),
        "empty.pjn": "",
        "empty.csv": "",
        "operators.py": OPERATOR,
        "run.history.csv": HISTORY,
        "broken.onnx": "this is no model",
        "spoilt.pjx": "this is no program",
        "broken.npz": "this is no archive",
        "broken.safetensors": "this is no parameter",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    rows = [f"{i % 5 / 5},{i % 7 / 7},{(i * i) % 11 / 11},{int(i % 5 > 2)}" for i in range(60)]
    (folder / "data.csv").write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    (folder / "folder").mkdir()
    draw = np.random.default_rng(0).normal
    params = {name: draw(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    save_file(params, folder / "run.params.safetensors")
    return folder


SHAPES = {"w": (3, 4), "b": (4,), "v": (4, 2)}


@pytest.fixture
def folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a copy of the folder; leave no operator to the next test."""
    made = tmp_path / "here"
    shutil.copytree(original, made)
    monkeypatch.chdir(made)
    before = dict(REGISTERED)
    yield made
    REGISTERED.clear()
    REGISTERED.update(before)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files in a folder, by path in it."""
    return {
        str(path.relative_to(folder)): b"" if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def require_right(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command, and compare all that comes of it."""
    before = contents(folder)
    code, out, err = runner(capsys)(*shlex.split(case.line))
    after = contents(folder)
    assert "Traceback" not in out + err and "internal error" not in out + err
    assert code == case.code, out + err
    assert case.said in (out if code == 0 else err), out + err
    assert {name for name in after if after[name] != before.get(name)} == set(case.writes)
    assert before.keys() <= after.keys()
    assert not err if code == 0 else err
    if code == 2 and case.line:
        assert err.startswith(("pjc: error[PJC0", "pjc: error[PJC12")) and " --help" in err.splitlines()[-1]


def is_needed(case: Case) -> str | None:
    """Return the package that a command needs and that is not here."""
    needed = {"plot": "matplotlib", "export": "onnx"}.get(case.line.partition(" ")[0])
    return needed if case.code == 0 and needed is not None and find_spec(needed) is None else None


QUICK = [case for case in CASES if not case.slow]
SLOW = [case for case in CASES if case.slow]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.line)
def test_a_command(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if missing := is_needed(case):
        pytest.skip(f"{missing} is not installed")
    require_right(case, folder, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.line)
def test_a_command_that_takes_its_time(case: Case, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if missing := is_needed(case):
        pytest.skip(f"{missing} is not installed")
    require_right(case, folder, capsys)


def test_every_command_is_tried() -> None:
    tried = {word for case in CASES for word in case.line.split()[:1]}
    assert set(COMMANDS) - {"compile"} <= tried
    assert len(CASES) > 80 and len(QUICK) > 60


@pytest.mark.slow
def test_a_run_is_resumed_and_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = runner(capsys)
    assert run("train", "net.pjn", *SHORT.split())[0] == 0
    before = contents(folder)
    for change, said in (
        ("--seed 1", "its seed was 0, now it is 1"),
        ("--solver ap", "its solver was"),
        ("-D hidden=5", "its defines was , now it is hidden=5"),
    ):
        code, _, err = run("train", "net.pjn", *SHORT.split(), "--resume", *change.split())
        assert code == 1 and said in err and contents(folder) == before
    code, out, err = run("train", "net.pjn", *SHORT.split(), "--epochs", 3, "--resume")
    assert (code, err) == (0, "") and "epoch 3/3" in out
    assert run("plot", "net.history.csv")[0] == 0


@pytest.mark.slow
def test_ctrl_c_while_it_trains_loses_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "net.pjn", *SHORT.split(), "--epochs", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pjc.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    while not (folder / "net.history.csv").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130 and "--resume goes on from here" in out
    assert "Traceback" not in err and "internal error" not in err
    written = set(contents(folder))
    assert {"net.params.safetensors", "net.history.csv", "net.pjx"} <= written
    assert not any(".lock" in name for name in written)
    epochs = len((folder / "net.history.csv").read_text().splitlines())
    code, out, err = runner(capsys)("train", "net.pjn", *SHORT.split(), "--epochs", epochs + 1, "--resume")
    assert (code, err) == (0, "") and f"epoch {epochs + 1}/{epochs + 1}" in out
