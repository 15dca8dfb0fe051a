"""Files that are written: by one process at a time, whole, with the mode that they had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pjc import cli
from pjc.commands.failures import fail
from pjc.commands.shared import console_of_stdout, say
from pjc.runtime.data.errors import DataError
from pjc.runtime.files import WriteError, held, remove_leftovers, replace_file
from pjc.runtime.history import Checkpoint, Result, Row, read_checkpoint, read_parameters, write_checkpoint

HOLDER = """
import sys
from pathlib import Path
from pjc.runtime.files import held
with held([Path(each) for each in sys.argv[1:]]):
    print("held", flush=True)
    sys.stdin.read()
"""
NET = """
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 10] = he_normal
output z = x @ w
require cross_entropy(z, y)
"""


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_replaced_files_keep_their_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    path.chmod(mode)
    replace_file(path, lambda to: to.write_text("new"))
    assert path.read_text() == "new" and path.stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize(
    "error", [ValueError("no room"), RuntimeError("no room"), RecursionError("no room")], ids=repr
)
def test_what_a_library_raises_while_it_writes_is_a_sentence(tmp_path: Path, error: Exception) -> None:
    """Such as safetensors where a disk is full; the file is as it was, and nothing is left beside it."""
    path = tmp_path / "a.csv"
    path.write_text("old")

    def write(to: Path) -> None:
        to.write_text("half")
        raise error

    with pytest.raises(WriteError, match=r"a\.csv cannot be written: no room"):
        replace_file(path, write)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "given", [["--version"], ["train", "--help"], ["--print-completion", "bash"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_an_error(given: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pjc.cli", *given],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    assert done.returncode != 0 and "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_folders_and_links_to_themselves_are_no_files_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(NET)
    Path("loop").symlink_to("loop")
    Path("net.history.csv").mkdir()
    Path("net.onnx").mkdir()
    for name, said in (
        ("loop", "link to itself"),
        ("net.history.csv", "directory"),
        ("net.onnx", "directory"),
    ):
        with pytest.raises(WriteError, match=f"{name} cannot be written: .*{said}"):
            replace_file(Path(name), lambda to: to.write_text("new"))
    assert cli.main(["train", "net.pjn", "--data", "digits", "--epochs", "1"]) == 1
    assert "net.history.csv cannot be written" in capsys.readouterr().err
    assert cli.main(["net.pjn", "-o", "loop"]) == 1
    assert "loop cannot be written: it is a link to itself" in capsys.readouterr().err


def test_one_run_writes_a_file_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(NET)
    leftover = tmp_path / "net.pjx.abcdefgh.pjx"
    leftover.write_text("in use")
    names = ["net.params.safetensors", "net.history.csv", "net.pjx", "net.best.safetensors"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        for command in (
            ["train", "net.pjn", "--data", "digits", "--epochs", "1"],
            ["train", "net.pjn", "--data", "nothing-like-it", "--epochs", "1"],
            ["net.pjn", "--batch", "8"],
        ):
            assert cli.main(command) == 1
            assert f"process {other.pid} on " in capsys.readouterr().err
        assert leftover.read_text() == "in use"
        other.kill()
    assert sorted(path.name for path in tmp_path.glob(".*.lock"))  # what a killed process leaves
    assert cli.main(["net.pjn", "--batch", "8"]) == 0 and Path("net.pjx").exists()
    with held([Path(name) for name in names]):
        remove_leftovers(Path("net.pjx"))
        with pytest.raises(WriteError, match="writes it; wait"), held([tmp_path / "net.pjx"]):
            pass
    assert not leftover.exists() and not list(tmp_path.glob(".*.lock"))


CONTROLS = ["\x1b[31mred", "a\x07b", "name\u202egnp", "\x9b2J", "[red]x[/red]"]


@pytest.mark.parametrize("text", CONTROLS)
def test_control_characters_never_reach_the_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(console_of_stdout(), f"wrote {text}")
    fail(f"there is no file {text}")
    cli.main([f"{text}.pjn"])
    out, err = capsys.readouterr()
    for said in (out, err):
        assert all(each.isprintable() or each == "\n" for each in said)
    assert ("[red]x[/red]" in out) == text.startswith("[red]")


def written(path: Path, **changed: Any) -> Path:
    """Write a checkpoint whose state, or settings, are changed."""
    result = Result({"w": np.ones(3)}, (Row(1, 1.0, 0.5, 0.25),), 1)
    write_checkpoint(path, Checkpoint(result, {"seed": 0}), {})
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
    state = {**json.loads(metadata["state"]), **changed.get("state", {})}
    metadata |= {"state": json.dumps(state), "settings": json.dumps(changed.get("settings", {"seed": 0}))}
    save_file({**load_file(path), **changed.get("arrays", {})}, path, metadata)
    return path


@pytest.mark.parametrize(
    "changed",
    [
        *({"state": {"epoch": each}} for each in (-1, 2, "1", None, 1e99, [1])),
        *({"state": {"batch": each}} for each in (-1, 0.5, "x")),
        *({"state": {"gap_sum": each}} for each in (float("nan"), "a", None, -1)),
        *({"state": {"history": each}} for each in (3, {}, [3], [{"epoch": "1"}], [None])),
        {"state": {"multipliers": [1]}},
        {"state": {"held": "abc"}},
        *({"settings": each} for each in ([], 3, "text", {"seed": [1]})),
        {"arrays": {"units/y/scale": np.zeros(1), "units/y/offset": np.zeros(1)}},
        {"arrays": {"units/y/scale": np.ones(2)}},
    ],
)
def test_checkpoints_of_other_contents_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert read_checkpoint(written(tmp_path / "a.safetensors")).result.epoch == 1
    with pytest.raises(DataError, match=r"a\.safetensors"):
        read_checkpoint(written(tmp_path / "a.safetensors", **changed))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_files_of_parameters_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = written(tmp_path / "a.safetensors", arrays={"w": np.array([1.0, value])})
    for read in (read_checkpoint, read_parameters):
        with pytest.raises(DataError, match="'w' has numbers that are not finite"):
            read(path)
