"""Every ``.mlir`` file under ``ir/``: its RUN line through pjc's own driver, the output through filecheck.

The files also run under lit. An input with ``--verify-diagnostics`` states the diagnostics it expects.
"""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path

import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser

from pjc.commands import opt
from pjc.universe import DIALECTS, PASSES, dialect_factory, pass_factory

FOLDER = Path(__file__).parent / "ir"
FILES = sorted(FOLDER.glob("*.mlir"))


def run_pjc_opt(arguments: list[str]) -> str:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = opt.main(arguments)
    assert status == 0, f"pjc opt {shlex.join(arguments)} failed:\n{output.getvalue()}"
    return output.getvalue()


def filecheck(path: Path, output: str) -> None:
    options = Options(match_filename=str(path))
    matcher = Matcher(options, FInput("output", output), Parser.from_opts(options))
    matcher.stderr = errors = io.StringIO()
    assert matcher.run() == 0, f"{errors.getvalue()}\noutput was:\n{output}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("// RUN: ")]
    assert lines, f"{path} has no RUN line"
    for line in lines:
        command, _, check = line.removeprefix("// RUN: ").partition(" | ")
        assert check == "filecheck %s"
        words = shlex.split(command.replace("%s", str(path)))
        assert words[:2] == ["pjc", "opt"]
        filecheck(path, run_pjc_opt(words[2:]))


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_has_a_file_and_a_name(name: str) -> None:
    assert pass_factory(name)().name == name
    assert FOLDER / f"{PASSES[name][0]}.mlir" in FILES


@pytest.mark.parametrize("name", PASSES)
def test_running_a_pass_twice_changes_nothing_more(name: str) -> None:
    path = FOLDER / f"{PASSES[name][0]}.mlir"
    once = run_pjc_opt([str(path), "-p", name])
    assert run_pjc_opt([str(path), "-p", f"{name},{name}"]) == once


@pytest.mark.parametrize("name", DIALECTS)
def test_every_op_is_printed_and_parsed_back(name: str) -> None:
    text = (FOLDER / f"{name}.mlir").read_text()
    dialect = dialect_factory(name)()
    for op in dialect.operations:
        assert op.name in text, f"{op.name} is missing from {name}.mlir"


@pytest.mark.parametrize("name", DIALECTS)
def test_every_op_declares_its_verifier_under_the_name_that_runs(name: str) -> None:
    for op in dialect_factory(name)().operations:
        assert not hasattr(op, "_verify_"), f"{op.name}: xDSL calls verify_, never _verify_"
