"""A .pjx file is a network for every command: what it was compiled from is compiled again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick import some_quick
from running import Run, runner
from safetensors.numpy import load_file
from test_artifact import signed
from trained_files import CHARACTERS, CLASSES, NUMBERS, flowers

import pjc
from pjc.driver import compile_file
from pjc.options import Options
from pjc.runtime.artifact import read_record

SIZED = CLASSES.replace(
    "param w: f32[3, 3]", "const hidden = 4\nparam u: f32[3, hidden] = he_normal\nparam w: f32[hidden, 3]"
)
SIZED = SIZED.replace("x @ w", "relu(x @ u) @ w")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def written(folder: Path, text: str, run: Run, *options: object) -> Path:
    source = folder / "net.pjn"
    source.write_text(text, encoding="utf-8")
    assert run(source, *options)[0] == 0
    return folder / "net.pjx"


@pytest.mark.parametrize("text", some_quick([CLASSES, NUMBERS, CHARACTERS], 3))
@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
def test_stages_are_those_of_the_source(tmp_path: Path, run: Run, text: str, stage: str) -> None:
    options = ("--batch", 6)
    path = written(tmp_path, text, run, *options)
    before = path.read_bytes()
    code, out, err = run(path, "--emit", stage)
    assert (code, err) == (0, "") and out == run(tmp_path / "net.pjn", *options, "--emit", stage)[1]
    assert path.read_bytes() == before


@pytest.mark.parametrize("options", some_quick([(), ("--rate", 0.01), ("--batch", 4, "--solver", "dr")], 3))
def test_training_is_that_of_the_source(tmp_path: Path, run: Run, options: tuple[object, ...]) -> None:
    path = written(tmp_path, SIZED, run, "--batch", 8, "-D", "hidden=5")
    data = flowers(tmp_path / "d.csv", 30)
    given = ("--data", data, "--target", "kind", "--epochs", 1, *options)
    assert run("train", path, *given, "-o", f"{tmp_path}/a/")[0] == 0
    more = ("-D", "hidden=5") if "--batch" in options else ("--batch", 8, "-D", "hidden=5")
    assert run("train", tmp_path / "net.pjn", *given, *more, "-o", f"{tmp_path}/b/")[0] == 0
    ours, theirs = (load_file(tmp_path / name / "net.params.safetensors") for name in "ab")
    assert ours["u"].shape == (3, 5)
    for name, array in theirs.items():
        np.testing.assert_array_equal(ours[name], array)


def test_values_of_consts_are_changed_one_by_one(tmp_path: Path) -> None:
    source = tmp_path / "net.pjn"
    source.write_text(
        SIZED.replace("f32[3, hidden]", "f32[inputs, hidden]").replace("f32[batch, 3]", "f32[batch, inputs]"),
        encoding="utf-8",
    )
    pjc.compile(source, batch=2, defines={"hidden": 6, "inputs": 3}).save(tmp_path / "net.pjx")
    found = compile_file(tmp_path / "net.pjx", Options(defines={"inputs": 7})).program()
    assert {spec.name: spec.shape for spec in found.parameters} == {"u": (7, 6), "w": (6, 3), "b": (3,)}
    assert found.batch == 2


@pytest.mark.parametrize(
    "arguments",
    some_quick(
        [
            ("PJX",),
            ("PJX", "-o", "PJX"),
            ("train", "PJX", "--data", "CSV", "--target", "kind"),
            ("PJX", "--batch", "3"),
        ]
    ),
)
def test_the_file_is_never_written_over(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    path, data = written(tmp_path, CLASSES, run), flowers(tmp_path / "d.csv", 30)
    before = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*(each.replace("PJX", path.name).replace("CSV", data.name) for each in arguments))
    assert code == 1 and "the network itself" in err and "-o" in err
    assert path.read_bytes() == before
    assert run(path.name, "-o", "other.pjx")[0] == 0
    ours, theirs = (read_record(tmp_path / name).source for name in ("other.pjx", "net.pjx"))
    assert ours == theirs


@pytest.fixture
def model(tmp_path: Path, run: Run) -> tuple[Path, dict[str, Any]]:
    """A compiled ONNX model, and the parameters that it came with, by their names in it."""
    pytest.importorskip("onnx")
    program = pjc.compile(SIZED, batch=4)
    program.to_onnx(program.init(5), tmp_path / "m.onnx")
    given = ("--loss", "cross_entropy", "--batch", 4)
    assert run(tmp_path / "m.onnx", *given)[0] == 0
    return tmp_path / "m.pjx", dict(
        compile_file(tmp_path / "m.onnx", Options(loss="cross_entropy")).start.initial
    )


@pytest.mark.slow
def test_parameters_that_came_with_the_network_come_again(
    model: tuple[Path, dict[str, Any]], tmp_path: Path, run: Run
) -> None:
    path, initial = model
    for program in (compile_file(path).program(), compile_file(path, Options(batch=3)).program()):
        found = program.init(1)
        assert initial and all(np.array_equal(found[name], each) for name, each in initial.items())
    data = ("--data", flowers(tmp_path / "d.csv", 30), "--target", "kind")
    code, out, _ = run("evaluate", path, *data)
    same = run("evaluate", tmp_path / "m.onnx", "--loss", "cross_entropy", "--batch", 4, *data)
    assert (code, out) == same[:2] and "all of it, 30 samples" in out
    assert run("train", path, *data, "--epochs", 1, "-o", f"{tmp_path}/t/")[0] == 0


def change(to: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    return lambda _, manifest: to(manifest["source"])


@pytest.mark.parametrize(
    "to",
    some_quick(
        [
            lambda source: source.update(kind="unheard"),
            lambda source: source.pop("options"),
            lambda source: source.update(options=[]),
            lambda source: source.update(options={"solver": 7}),
            lambda source: source.update(text=5),
            lambda source: source.update(text="input x: f32["),
            lambda source: source.clear(),
        ],
        3,
    ),
)
def test_records_of_no_network_get_a_sentence(tmp_path: Path, run: Run, to: Any) -> None:
    path = signed(written(tmp_path, CLASSES, run), tmp_path / "wrong.pjx", change(to))
    code, out, err = run(path, "--emit", "net")
    assert (code, out) == (1, "") and "error[PJC" in err and "internal" not in err


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18)])
def test_files_that_are_no_program_get_a_sentence(tmp_path: Path, run: Run, content: bytes) -> None:
    (tmp_path / "a.pjx").write_bytes(content)
    data = ("--data", "digits")
    for command, *more in (
        (None, "--emit", "net"),
        ("train", *data, "-o", f"{tmp_path}/t/"),
        ("evaluate", *data),
        ("predict", *data),
        ("info",),
    ):
        code, out, err = run(*filter(None, [command]), tmp_path / "a.pjx", *more)
        assert (code, out) == (1, "") and "a.pjx is" in err
