"""A crash of a pass leaves a file that crashes in the same way; dumps can show only what a pass changed."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdsl.utils.exceptions import PassFailedException

from pjc.cli import main
from pjc.ir_diff import NONE, difference
from pjc.passes.bipartition import BipartitionPass
from pjc.passes.choose_representation import ChooseRepresentationPass
from pjc.passes.fuse import FusePass
from pjc.passes.label import LabelPass

NET = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
param b: f32[3] = zeros
output z = relu(x @ w + b)
require cross_entropy(z, y)
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a network in a folder of its own, which is also that of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pjn").write_text(NET)
    return tmp_path / "net.pjn"


def raising(error: Exception) -> Any:
    """Return what a pass does that changes some of the IR and then fails."""

    def apply(self: Any, ctx: object, module: Any) -> None:
        for op in list(module.walk())[::-1]:
            if op.name == "op.output":
                op.detach()
        raise error

    return apply


@pytest.mark.parametrize(
    ("broken", "error", "words"),
    [
        (FusePass, KeyError("x\ny"), "--emit feas"),
        (BipartitionPass, ZeroDivisionError("what"), "--emit feas --solver dr"),
        (ChooseRepresentationPass, IndexError("out"), "--emit proj --solver rrr --step 0.5 --memory 8G"),
        (LabelPass, RecursionError("deep"), "--emit net"),
    ],
)
def test_a_crash_leaves_what_runs_it_again(
    broken: type,
    error: Exception,
    words: str,
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    right = broken.apply  # type: ignore[attr-defined]
    monkeypatch.setattr(broken, "apply", raising(error))
    assert main([str(net), *shlex.split(words)]) == 1
    said = capsys.readouterr().err
    assert f"internal error, {type(error).__name__}" in said
    (left,) = net.parent.glob("pjc-crash-*.mlir")
    assert f"hint: {left} holds the IR" in said

    command, told, versions = left.read_text().splitlines()[:3]
    assert type(error).__name__ in told
    assert re.search(r"pjc \d.*xdsl \d.*jax \d.*Python 3\.", versions)
    again = shlex.split(command.removeprefix("// pjc "))
    assert str(left) in again and broken.name in command  # type: ignore[attr-defined]
    assert main(again) == 1 and type(error).__name__ in capsys.readouterr().err
    monkeypatch.setattr(broken, "apply", right)
    assert main(again) == 0 and "op.output" in capsys.readouterr().out


@pytest.mark.parametrize("error", [PassFailedException("no"), OSError("full"), MemoryError()])
def test_what_is_no_mistake_of_a_pass_leaves_no_file(
    error: Exception, net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(FusePass, "apply", raising(error))
    assert main([str(net), "--emit", "feas"]) == 1
    assert not list(net.parent.glob("pjc-crash-*")) and "internal error" not in capsys.readouterr().err


def test_a_difference_is_what_went_and_what_came() -> None:
    assert difference("a\nb\nc\nd", "a\nb\nC\nd") == "@@ -2,3 +2,3 @@\n b\n-c\n+C\n d\n"
    assert difference("a\n", "a\n") == NONE
    assert "-a" in difference("a", "") and "+a" in difference("", "a")


@pytest.mark.parametrize("command", ["{} --emit feas", "opt {} -p net-infer-shapes,net-to-feas,fuse"])
def test_dumps_show_only_what_a_pass_changed(
    command: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command.format("net.pjn"))
    assert main([*words, "--print-ir-after-all", "--diff"]) == 0
    dumps = dict(
        re.findall(r"// ----- after (\S+) -----\n(.*?)\n(?=//|\Z)", capsys.readouterr().err, re.DOTALL)
    )
    assert dumps["net-infer-shapes"].strip() == NONE.strip()
    changed = [line for line in dumps["feas-fuse"].splitlines() if line[:1] in "+-"]
    assert [line[0] for line in changed] == ["-", "-", "+"]
    assert "op.sum " in changed[0] and "op.sum_relu" in changed[1] and "op.sum_relu" in changed[2]


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [("net", "", ""), ("feas", "", ""), ("pjn", "relu(x @ w + b)", "x @ w + b")],
)
def test_two_networks_are_compared_at_a_stage(
    stage: str, old: str, new: str, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (net.parent / "sub").mkdir()
    other = net.parent / "sub" / "net.pjn"
    other.write_text(NET.replace("relu(x @ w + b)", "x @ w + b"))
    batch = [] if stage == "pjn" else ["--batch", "4"]
    assert main(["diff", "net.pjn", str(other), "--stage", stage, *batch]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["--- net.pjn", f"+++ {other}"]
    gone, come = ([line for line in lines[2:] if line.startswith(sign)] for sign in "-+")
    if stage == "pjn":
        assert [line[1:] for line in gone] == [f"output z = {old}"]
        assert [line[1:] for line in come] == [f"output z = {new}"]
    else:
        assert any("op.sum_relu" in line for line in gone) and not any("op.sum_relu" in line for line in come)
    assert main(["diff", "net.pjn", "net.pjn", "--stage", stage, *batch]) == 0
    assert capsys.readouterr().out == f"net.pjn and net.pjn are the same at {stage}\n"


def test_networks_that_are_not_there_are_told(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["no.pjn", "net.pjn"], ["net.pjn", "no.pjn"]):
        assert main(["diff", *words]) == 1
        assert "no.pjn" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["diff", "net.pjn", "net.pjn", "--stage", "fees"])
    assert "unknown stage 'fees'" in capsys.readouterr().err


def test_a_difference_needs_something_to_be_printed(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["net.pjn", "--diff"], ["opt", "net.pjn", "-p", "net-infer-shapes", "--diff"]):
        assert main(words) != 0
        assert "--print-ir-after-all" in capsys.readouterr().err
