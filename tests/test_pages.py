"""Every block of code in the documents runs: networks compile, commands and Python do what their page says.

The blocks of a page share a folder, and those of Python their names, as a reader has it who goes from top to
bottom. A network is saved under the name in its first line. What runs elsewhere is listed in ``ELSEWHERE``.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from xdsl.universe import Universe

import pjc
from pjc.cli import main
from pjc.commands import COMMANDS
from pjc.commands.completion import command_parser
from pjc.driver import compile_file
from pjc.options import Options
from pjc.universe import DIALECTS, PASSES

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ELSEWHERE = {
    ("commands.md", "python"): "it opens a program in a terminal; what it asks xDSL for is tested below",
    ("operators.md", "python"): "shortened; whole in examples/winner.py, which a test trains",
    ("extending.md", "python"): "recipes, which tests/test_extending.py carries out",
    ("extending.md", "mlir"): "the same",
    ("language.md", "python"): "beside the text that it builds, in tests/test_builder.py",
    ("python.md", "python"): "each by itself, in tests/test_docs.py",
    ("tour.md", "mlir"): "what pjc prints, by tests/test_docs.py",
    ("training.md", "mlir"): "the same",
}
"""The blocks of a page in a language that another test holds to what they say."""
WHOLE = (
    "tutorial.md",
    "choosing.md",
    "exact.md",
    "recurrent.md",
    "training.md",
    "data.md",
    "examples.md",
    "tour.md",
)
"""The pages whose blocks of Python run one after another."""
RUN = WHOLE[:4]
"""Those of them whose commands run too."""

LOOP = """
const T = 3
input x: f32[batch, 3, 8]
target y: class[batch, 3, 65]
def cell(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}
def rectifier(x) {
  return relu(x)
}
step_cell = cell
out = cell
"""
"""What stands around the loop of the page on the language."""
AROUND = {
    "h = full((batch, 64), 0)\nfor": (
        LOOP,
        "\noutput z2 = transpose(z, (1, 0, 2))\nrequire cross_entropy(z2, y)",
    ),
}


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name in the first line, where it is one."""
        named = re.match(r"# (\w+\.pjn)\n", self.text)
        return named[1] if named else None


def blocks(page: str, *languages: str) -> list[Block]:
    found = [
        Block(page, *match) for match in BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))
    ]
    return [each for each in found if not languages or each.language in languages]


def told(block: Block) -> str:
    return f"{block.page}-{block.text.splitlines()[0][:40]}"


ALL = [block for page in PAGES for block in blocks(page.name)]
NETWORKS = [each for each in ALL if each.language == "pjn" and "# one-hot" not in each.text]
COMMAND_LINES = [
    (each.page, line)
    for each in ALL
    if each.language == "sh"
    for line in each.text.splitlines()
    if line.startswith("pjc ")
]


def test_no_block_is_left_out() -> None:
    kinds = {(each.page, each.language) for each in ALL}
    runs = {(page, language) for page in WHOLE for language in ("python", "pjn")}
    others = {(page, language) for page, language in kinds if language in ("sh", "pjn", "toml", "")}
    assert kinds - runs - others == {each for each in ELSEWHERE if each in kinds} | {
        ("language.md", "python")
    }
    assert set(ELSEWHERE) <= kinds


@pytest.mark.parametrize("block", NETWORKS, ids=told)
def test_a_network_of_a_page_compiles(block: Block, tmp_path: Path) -> None:
    before, after = next((each for start, each in AROUND.items() if block.text.startswith(start)), ("", ""))
    path = tmp_path / (block.file or "page.pjn")
    path.write_text(f"{before}{block.text}{after}")
    assert "feas.problem" in str(compile_file(str(path), Options(batch=4)).at("feas"))


def test_the_inputs_of_a_network_on_text_compile_in_pairs(tmp_path: Path) -> None:
    (block,) = [each for each in ALL if each.language == "pjn" and "# one-hot" in each.text]
    inputs, targets = (
        re.findall(rf"^({word} .*?) +#", block.text, re.MULTILINE) for word in ("input", "target")
    )
    assert len(inputs) == len(targets) == 2
    one_hot, rows = "e = x", "param table: f32[vocabulary, 5] = normal(1)\ne = embedding(table, tokens)"
    heads = ("z = e @ w", "z = e[:, -1] @ w")
    for (given, embedded, width), (target, head) in [
        (a, b)
        for a in zip(inputs, (one_hot, rows), ("vocabulary", "5"), strict=True)
        for b in zip(targets, heads, strict=True)
    ]:
        weights = f"param w: f32[{width}, 7] = he_normal"
        text = "\n".join(["const vocabulary = 7", given, target, embedded, weights, head, ""])
        (tmp_path / "text.pjn").write_text(text + "output z\nrequire cross_entropy(z, y)\n")
        assert "feas.problem" in str(compile_file(str(tmp_path / "text.pjn"), Options(batch=2)).at("feas"))


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES, ids=[line[4:60] for _, line in COMMAND_LINES])
def test_a_command_of_a_page_is_one_that_pjc_takes(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = words.pop(0) if words[0] in COMMANDS else "compile"
    given = command_parser(command).parse_args(words)
    assert vars(given)


def test_what_starts_the_gui_finds_our_dialects_and_passes() -> None:
    """Its app needs packages that are not installed here; what it is given comes from the entry point."""
    (block,) = blocks("commands.md", "python")
    names = {
        name
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.alias)
        for name in [node.name]
    }
    assert names == {"sys", "Path", "InputApp", "Universe"}
    known = Universe.get_multiverse()
    assert {*DIALECTS} <= set(known.all_dialects) and {*PASSES} <= set(known.all_passes)
    assert f"pjc's {len(PASSES)} passes" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_options_in_a_file_are_those_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks("training.md", "toml")
    (tmp_path / "options.toml").write_text(block.text)
    assert main(["train", str(tmp_path / "no.pjn"), "--config", str(tmp_path / "options.toml")]) == 1
    assert "no.pjn" in capsys.readouterr().err
    (tmp_path / "options.toml").write_text(block.text.replace("keep-best", "keep-bst"))
    main(["train", str(tmp_path / "no.pjn"), "--config", str(tmp_path / "options.toml")])
    assert "keep-bst" in capsys.readouterr().err


def test_what_a_page_shows_of_a_shell_is_what_pjc_says(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [each.text for each in ALL if each.text.startswith("$ pjc ")]
    assert shown
    for text in shown:
        command, _, answer = text.removeprefix("$ pjc ").partition("\n")
        with contextlib.suppress(SystemExit):
            main(shlex.split(command))
        output = capsys.readouterr()
        assert output.out + output.err == answer


def of_training(folder: Path) -> dict[str, Any]:
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.csv"))
    return {"x": np.zeros((64, 64), np.float32), "y": np.zeros(64, int)}


NUMBERS = """
input x: f32[batch, 4]
target y: f32[batch, 1]
target n: f32[batch, 1]
param w: f32[4, 1] = he_normal
param b: f32[1] = zeros
param v: f32[4, 1] = he_normal
param c: f32[1] = zeros
output first = x @ w + b
output second = x @ v + c
require squared_error(first, y)
require squared_error(second, n)
"""
CHARS = """
input x: f32[batch, 4, vocabulary]
target y: class[batch, vocabulary]
param w: f32[vocabulary, vocabulary] = he_normal
output z = x[:, -1] @ w
require cross_entropy(z, y)
"""


def of_data(folder: Path) -> dict[str, Any]:
    from types import SimpleNamespace

    from pjc.runtime.data import from_arrays
    from pjc.runtime.history import read_parameters, read_units
    from pjc.runtime.standardize import standardized
    from pjc.runtime.units import Units

    one = "\n".join(line for line in NUMBERS.splitlines() if not re.search(r"\b(?:n|v|c|second)\b", line))
    (folder / "one.pjn").write_text(one)
    (folder / "net.pjn").write_text(NUMBERS)
    (folder / "chars.pjn").write_text("const vocabulary = 4\n" + CHARS)
    (folder / "book.txt").write_text("abcd" * 400)
    np.savez(folder / "rows.npz", x=np.random.default_rng(0).random((80, 4)), y=np.arange(80.0)[:, None])
    assert main(["train", "one.pjn", "--data", "rows.npz", "--epochs", "1", "--batch", "8", "--quiet"]) == 0
    assert main(["train", "chars.pjn", "--data", "text:book.txt", "--epochs", "1", "--quiet"]) == 0
    x, y = np.random.default_rng(0).random((80, 4)).astype("f"), np.arange(80) % 2
    return {
        "x": x,
        "y": y,
        "path": folder / "one.params.safetensors",
        "pjc": pjc,
        "parts": SimpleNamespace(train=from_arrays(x, y[:, None].astype("f"), "mine")),
        "Units": Units,
        "standardized": standardized,
        "read_parameters": read_parameters,
        "read_units": read_units,
    }


def of_exact(folder: Path) -> dict[str, Any]:
    shutil.copytree(ROOT / "examples", folder / "examples")
    return {}


SETUPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "exact.md": of_exact,
    "training.md": of_training,
    "tour.md": of_training,
    "data.md": of_data,
}


@pytest.mark.slow
@pytest.mark.parametrize("page", WHOLE)
def test_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("tutorial.md", "pjn"):
        (tmp_path / str(block.file)).write_text(block.text)
    names = SETUPS[page](tmp_path) if page in SETUPS else {}
    for block in blocks(page):
        if block.language == "pjn" and block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "sh" and page in RUN:
            for line in block.text.splitlines():
                with contextlib.redirect_stdout(io.StringIO()) as said:
                    assert main(shlex.split(line)[1:]) == 0, line
                assert said.getvalue() or capsys.readouterr().err, line
        elif block.language == "python":
            exec(compile(ast.parse(block.text), page, "exec"), names)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_its_cells_print() -> None:
    """After a change: ``jupyter nbconvert --to notebook --execute --inplace examples/tour.ipynb``."""
    cells = json.loads((ROOT / "examples" / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(codes) > 8
    names: dict[str, Any] = {}
    for cell in codes:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile("".join(cell["source"]), "tour.ipynb", "exec"), names)
        shown = ["".join(each["text"]) for each in cell["outputs"] if each["output_type"] == "stream"]
        assert "".join(shown) == said.getvalue()
