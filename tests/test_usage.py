"""How every command says its version and its help, and what is wrong with its command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import Run, runner

import pjc.commands.check_operator
from pjc import __version__
from pjc.commands import COMMANDS
from pjc.universe import PASSES

NET = """\
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 3] = he_normal
output z = x @ w
require cross_entropy(z, y)
"""


SENTENCE = re.compile(r"pjc: error\[PJC\d{4}\]: ")


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a function that runs the command line in a folder with net.pjn."""
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(NET)
    return runner(capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_version_and_help_of_every_command(pjc_run: Run, command: str) -> None:
    assert pjc_run(command, "--version") == (0, f"pjc {__version__}\n", "")
    code, out, err = pjc_run(command, "--help")
    assert code == 0 and not err and out.startswith("usage: pjc")
    assert max(map(len, out.splitlines())) <= 110


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_of_every_command(pjc_run: Run, command: str) -> None:
    code, out, err = pjc_run(command, "--zzzz")
    called = "pjc" if command == "compile" else f"pjc {command}"
    assert (code, out) == (2, "") and err.startswith("pjc: error[PJC1201]: ")
    assert err.endswith(f"hint: see {called} --help\n") and len(err.splitlines()) == 2


MEANT = {
    ("train", "net.pjn", "--data", "digits", "--epoch", "3"): "did you mean --epochs? See pjc train --help",
    ("train", "net.pjn", "--dat=digits"): "did you mean --data?",
    ("net.pjn", "--solvr", "ap"): "did you mean --solver?",
    ("opt", "net.pjn", "--print-op-generc"): "did you mean --print-op-generic?",
    ("net.pjn", "--epochs", "3"): "--epochs is an option of pjc train",
    ("net.pjn", "--samples", "3"): "--samples is an option of pjc check-operator",
    ("export", "net.pjx", "p", "--emit=net"): "--emit is an option of pjc;",
    ("net.pjn", "train"): "a command comes first, as in pjc train ..",
    ("--batch", "3", "export", "net.pjn"): "a command comes first, as in pjc export ..",
}


@pytest.mark.parametrize("arguments", MEANT, ids=" ".join)
def test_what_may_have_been_meant(pjc_run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = pjc_run(*arguments)
    assert (code, out) == (2, "") and MEANT[arguments] in err.splitlines()[-1]


MISTAKES: dict[tuple[str, ...], str] = {
    ("net.pjn", "--solver", "ap", "--step", "0.3"): "the solver ap takes no step",
    ("net.pjn", "--emit", "net", "--explain"): "give one of them",
    ("none.pjn",): "there is no file none.pjn",
    ("opt", "none.mlir"): "there is no file none.mlir",
    ("opt", "."): ". is a directory",
    ("opt", "net.pjn", "-p", "feas-fusee"): "unknown pass 'feas-fusee'",
    ("opt", "net.pjn", "-o", "net.pjn"): "would overwrite the source",
    ("opt", "net.pjn", "-o", "."): "cannot be written",
    ("opt", "text.txt"): "holds no IR",
    ("opt", "latin.mlir"): "",
    ("check-operator", "none.py"): "none.py",
    ("export", "net.pjn", "none.safetensors"): "none.safetensors",
    ("train", "net.pjn", "--data", "none.csv"): "none.csv",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_every_sentence_begins_alike(pjc_run: Run, arguments: tuple[str, ...]) -> None:
    Path("text.txt").write_text("what is this\n")
    Path("latin.mlir").write_bytes(b"\xe9\xff")
    code, out, err = pjc_run(*arguments)
    assert (code, out) == (1, "") and SENTENCE.match(err) and MISTAKES[arguments] in err
    assert all(line.startswith("hint: ") or SENTENCE.match(line) for line in err.splitlines())
    assert Path("net.pjn").read_text() == NET


def test_a_sentence_with_a_place_begins_with_it(pjc_run: Run) -> None:
    Path("bad.pjn").write_text(NET.replace("x @ w", "x @ v"))
    for command in (["bad.pjn"], ["opt", "bad.pjn"], ["train", "bad.pjn", "--data", "digits"]):
        code, out, err = pjc_run(*command)
        assert (code, out) == (1, "") and err.startswith("bad.pjn:4:16: error[PJC0105]: unknown name 'v'")


def test_an_internal_error_begins_as_all_do(monkeypatch: pytest.MonkeyPatch, pjc_run: Run) -> None:
    def wrong(arguments: object) -> None:
        raise ZeroDivisionError("what")

    monkeypatch.setattr(pjc.commands.check_operator, "main", wrong)
    code, out, err = pjc_run("check-operator", "a.py")
    assert (code, out) == (1, "") and err.startswith(
        "pjc: error[PJC9901]: internal error, ZeroDivisionError: what\n"
    )


def test_opt_shows_its_own_passes_first(pjc_run: Run) -> None:
    code, out, _ = pjc_run("opt", "--help")
    at = [out.index(f"\n  {name} ") for name in PASSES]
    assert code == 0 and at == sorted(at) and at[-1] < out.index("--print-between-passes")
    assert out.index("--print-between-passes") < out.index("canonicalize-dmp")


def test_opt_writes_whole_files_or_none(pjc_run: Run) -> None:
    assert pjc_run("opt", "net.pjn", "-o", "net.mlir") == (0, "", "")
    whole = Path("net.mlir").read_text()
    assert whole == pjc_run("opt", "net.pjn")[1]
    for arguments in (["net.mlir", "-o", "net.mlir"], ["bad.mlir", "-o", "net.mlir"]):
        Path("bad.mlir").write_text(whole.replace("net.network", "net.netwrok"))
        assert pjc_run("opt", *arguments)[0] == 1 and Path("net.mlir").read_text() == whole


@pytest.mark.parametrize("contents", [b"words", b"a,b\n1,2\n", b"\0\1"])
def test_opt_overwrites_no_other_file(pjc_run: Run, contents: bytes) -> None:
    Path("any").write_bytes(contents)
    code, _, err = pjc_run("opt", "net.pjn", "-o", "any")
    assert code == 1 and "any would be overwritten, which is a file that holds no IR; name another" in err
    assert Path("any").read_bytes() == contents
    assert pjc_run("opt", "net.pjn", "-o", "any", "--force") == (0, "", "")
    assert pjc_run("opt", "net.pjn", "-o", "any") == (0, "", "")
    assert pjc_run("opt", "net.pjn", "-o", "new/folder/net.mlir") == (0, "", "")


@pytest.mark.parametrize("arguments", [["--nope"], ["train", "--nope"], ["--batch", "x", "a.pjn"]])
def test_what_is_wrong_is_said_before_anything_heavy_is_loaded(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom pjc.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'numpy', 'xdsl', 'sklearn', 'networkx', 'rich', 'lark'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True
    )
    assert done.returncode == 0 and SENTENCE.match(done.stderr)
