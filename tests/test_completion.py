"""Completion in the shell: what is printed for it knows every command, option, choice and file."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from running import Run, runner

from pjc.commands import COMMANDS
from pjc.commands.completion import SHELLS
from pjc.commands.lookup import all_options, record_of
from pjc.fields import Choice

shtab = pytest.importorskip("shtab")


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line and returns code, stdout and stderr."""
    return runner(capsys)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_known(pjc_run: Run, shell: str) -> None:
    code, out, err = pjc_run("--print-completion", shell)
    assert code == 0 and not err and out == pjc_run(f"--print-completion={shell}")[1]
    for command in COMMANDS:
        assert command in out
        record = record_of(command)
        for _, option in [] if record is None else all_options(record):
            names = [flag for flag in option.flags if flag.startswith("--")]
            assert all(flag in out or flag.removeprefix("--") in out for flag in names), names
            if isinstance(option.kind, Choice) and option.flags and shell != "tcsh":
                assert all(word in out for word in option.kind.words)


@pytest.mark.parametrize("arguments", [[], ["ksh"], ["bash", "zsh"]])
def test_other_shells_are_refused(pjc_run: Run, arguments: list[str]) -> None:
    code, out, err = pjc_run("--print-completion", *arguments)
    assert (code, out) == (1, "") and "takes one of bash, zsh, tcsh" in err


def test_without_shtab_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, pjc_run: Run) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = pjc_run("--print-completion", "bash")
    assert (code, out) == (1, "") and "pip install 'pjc[completion]'" in err


COMPLETED = {
    ("tr",): {"train"},
    ("mo",): {"model.pjn"},
    ("train", "--solver", "sw"): {"sweep"},
    ("train", "--normalize", "st"): {"standard"},
    ("train", "mo"): {"model.pjn"},
    ("train", "model.pjn", "--da"): {"--data"},
    ("train", "model.pjn", "--data", "da"): {"data.csv"},
    ("model.pjn", "--emit", "pl"): {"placed"},
    ("model.pjn", "--explai"): {"--explain"},
    ("opt", "model.pjn", "--print-op"): {"--print-op-generic"},
    ("export", "model.pjn", "--ou"): set(),
    ("plot", "da"): {"data.csv"},
    ("plot", "data.csv", "mo"): {"model.pjn"},
    ("view", "mo"): {"model.pjn"},
    ("view", "model.pjn", "--his"): {"--history"},
    ("view", "model.pjn", "--history", "da"): {"data.csv"},
    ("doctor", "--js"): {"--json"},
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes(pjc_run: Run, tmp_path: Path) -> None:
    for name in ("model.pjn", "data.csv"):
        (tmp_path / name).touch()
    (tmp_path / "pjc.bash").write_text(pjc_run("--print-completion", "bash")[1])
    lines = ["source pjc.bash"]
    for words in COMPLETED:
        lines.append(f"COMP_WORDS=(pjc {shlex.join(words)}); COMP_CWORD={len(words)}; _shtab_pjc")
        lines.append('echo "found:${COMPREPLY[*]}"')
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True
    )
    found = [line.removeprefix("found:") for line in done.stdout.splitlines() if line.startswith("found:")]
    assert [set(line.split()) for line in found] == list(COMPLETED.values())
