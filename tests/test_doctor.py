"""pjc doctor: what it looks at, and what it says where something is wrong."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
from running import Run, runner

import pjc.commands.doctor as doctor


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs the command line, with a folder of its own for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    doctor._compiled.cache_clear()
    return runner(capsys)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the trials out."""
    monkeypatch.setattr(doctor, "_TRIALS", {})


@pytest.mark.slow
def test_all_is_well_here(pjc_run: Run, tmp_path: Path) -> None:
    code, out, err = pjc_run("doctor", "--json")
    said = json.loads(out)
    names = [each["name"] for each in said["findings"]]
    assert (code, err) == (0, "") and said["ok"] is True
    for name in ("pjc", "python", "jax", "jaxlib", "xdsl", "numpy", "lark", "safetensors", "onnx", "flax",
                 "equinox", "scikit-learn", "devices", "threads", "memory", "data cache", "temporary files",
                 "compile", "save and load"):  # fmt: skip
        assert name in names
    assert len([name for name in names if name.startswith("train by ")]) == 2
    assert not list(tmp_path.iterdir())


def test_each_line_is_ok_or_failed(pjc_run: Run, quick: None) -> None:
    code, out, err = pjc_run("doctor")
    assert (code, err) == (0, "") and len(out.splitlines()) > 20
    assert all(line.startswith("ok ") for line in out.splitlines())


def test_what_is_missing_is_named(pjc_run: Run, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name in ("lark", "onnx"):
            raise metadata.PackageNotFoundError(name)
        return "0.1.dev3" if name == "optax" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    code, out, _ = pjc_run("doctor")
    lines = {line.split()[1]: line for line in out.splitlines()}
    assert code == 1 and lines["lark"].startswith("failed") and "pip install 'lark>=" in lines["lark"]
    assert lines["optax"].startswith("failed") and "or later: pip install -U optax" in lines["optax"]
    assert lines["onnx"].startswith("ok") and "pip install 'pjc[onnx]'" in lines["onnx"]
    assert lines["numpy"].startswith("ok")


def test_what_cannot_be_written_is_named(
    pjc_run: Run, quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "file" / "in"))
    code, out, _ = pjc_run("doctor")
    (line,) = [line for line in out.splitlines() if "data cache" in line]
    assert code == 1 and line.startswith("failed") and "set SCIKIT_LEARN_DATA" in line


def test_whatever_fails_is_one_line(pjc_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> str:
        raise ZeroDivisionError("many\nlines\x1b[2J")

    monkeypatch.setattr(doctor, "_TRIALS", {"one": fails, "other": lambda folder: "well"})
    code, out, err = pjc_run("doctor")
    failed, well = out.splitlines()[-2:]
    assert (code, err) == (1, "") and failed.startswith("failed  one") and "ZeroDivisionError: many" in failed
    assert "\x1b" not in out and well.startswith("ok      other")


def test_a_step_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, level: int) -> None:
            self.level = level

        def init(self, key: int) -> dict[str, float]:
            return {"w": 0.0}

    monkeypatch.setattr(doctor, "_compiled", lambda solver, level: Other(level))
    monkeypatch.setattr(doctor, "_step", lambda program: {"w": 1.0 + program.level})
    found = doctor.tried("step", lambda: doctor._same_step("any")(Path()), "advice")
    assert not found.ok and "differ by 2 after a step of 1" in found.found and found.advice == "advice"
    monkeypatch.setattr(doctor, "_step", lambda program: {"w": 0.0})
    assert not doctor.tried("step", lambda: doctor._same_step("any")(Path()), "").ok


def test_it_needs_no_library_to_speak(monkeypatch: pytest.MonkeyPatch, quick: None, pjc_run: Run) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert pjc_run("doctor")[0] == 0
