"""Libraries: what ``use`` finds, what it says of wrong ones, and the blocks of nn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_file, compile_text
from pjc.frontends import libraries
from pjc.frontends.libraries import STANDARD
from pjc.options import Options
from pjc.passes.solvers import of_kind

HEAD = "input x: f32[batch, 6]\ntarget y: class[batch, 3]\n"
TAIL = "output logits\nrequire margin(logits, y)\n"


def params(program: pjc.Program) -> dict[str, tuple[int, ...]]:
    return {spec.name: spec.shape for spec in program.parameters}


def wrong(path: Path) -> str:
    with pytest.raises(DiagnosticError) as caught:
        compile_file(path, Options(batch=2)).at("net")
    return str(caught.value).replace(str(path.parent) + "/", "")


def files(folder: Path, **texts: str) -> Path:
    """Write the files NAME.pjn and return the path of ``m.pjn``."""
    for name, text in texts.items():
        (folder / f"{name}.pjn").write_text(text)
    return folder / "m.pjn"


# What use finds


def test_parameters_are_named_by_the_block_and_not_by_the_library() -> None:
    text = "use nn\n" + HEAD + (
        "def linear(x) {\n  param weight: f32[x.shape[-1], 4] = ones\n  return x @ weight\n}\n"
        "out = nn.readout\na = nn.linear(x, 5)\nb = linear(a)\nc = nn.mlp(b, 4, 3)\n"
        "logits = out(nn.dense(c, 7), 3)\n" + TAIL
    )  # fmt: skip
    assert params(pjc.compile(text)) == {
        "linear_0.weight": (6, 5),
        "linear_0.bias": (5,),
        "linear_1.weight": (5, 4),
        "mlp_0.dense_0.weight": (4, 4),
        "mlp_0.dense_0.bias": (4,),
        "mlp_0.readout_0.weight": (4, 3),
        "dense_0.weight": (3, 7),
        "dense_0.bias": (7,),
        "out.weight": (7, 3),
    }


def test_a_file_beside_is_a_library_with_its_own_constants(tmp_path: Path) -> None:
    model = files(
        tmp_path,
        m="use blocks\nconst width = 5\n" + HEAD + "logits = blocks.wide(x)[:, :blocks.classes]\n" + TAIL,
        blocks="use nn\nconst width = 8 # not that of m\nconst classes = 3\n"
        "def wide(x) {\n  return nn.dense(x, width)\n}\n",
    )
    assert params(compile_file(model).program()) == {
        "wide_0.dense_0.weight": (6, 8),
        "wide_0.dense_0.bias": (8,),
    }
    with pytest.raises(DiagnosticError, match="-D classes: the file has no constant"):
        compile_file(model, Options(defines={"classes": 2})).at("net")


def test_artifacts_hold_the_libraries_that_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = files(
        tmp_path,
        m="use blocks\n" + HEAD + "logits = blocks.two(x)\n" + TAIL,
        blocks="use nn\ndef two(x) {\n  return nn.linear(nn.linear(x, 4), 3)\n}\n",
    )
    program = pjc.compile(model, batch=2)
    program.save(tmp_path / "m.pjx")
    (tmp_path / "blocks.pjn").write_text("def two(x) {\n  return x[:, :3]\n}\n")
    monkeypatch.setattr(libraries, "STANDARD", tmp_path / "nowhere")
    weights, x = program.init(0), np.ones((5, 6), np.float32)
    expected = program.apply(weights, x)
    again = pjc.load(tmp_path / "m.pjx")
    np.testing.assert_allclose(again.apply(weights, x), expected, rtol=1e-6)


def test_a_text_finds_pjcs_own_libraries_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files(tmp_path, blocks="def f(x) { return x }\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DiagnosticError) as caught:
        pjc.compile("use blocks\n" + HEAD + "output x\n")
    assert "there is no library 'blocks'\n" in str(caught.value)
    assert "hint: expected one of pjc's own" in str(caught.value)


def test_pjcs_own_library_comes_before_a_file_of_its_name(tmp_path: Path) -> None:
    model = files(tmp_path, m="use nn\n" + HEAD + "logits = nn.readout(x, 3)\n" + TAIL, nn="const a = 1\n")
    assert params(compile_file(model).program()) == {"readout_0.weight": (6, 3)}


# What is said of wrong ones


def test_a_mistake_in_a_block_points_into_the_library(tmp_path: Path) -> None:
    model = files(
        tmp_path,
        m="use blocks\n" + HEAD + "a = blocks.outer(x)\noutput a\n",
        blocks="# two\ndef inner(x) {\n  return x @ x\n}\ndef outer(x) {\n  return inner(x)\n}\n",
    )
    assert wrong(model) == (
        "blocks.pjn:3:10: error[PJC0202]: '@' needs the last dimension of f32[batch=2, 6] to equal the "
        "second to last "
        "dimension of f32[batch=2, 6], found 6 and 2\n"
        "      return x @ x\n"
        "             ^~~~~\n"
        "hint: transpose the second?; in outer_0.inner_0, called in line 6; "
        "in outer_0, called in line 4 of m.pjn"
    )


def test_mistakes_of_all_files_are_reported_those_of_the_file_first(tmp_path: Path) -> None:
    model = files(
        tmp_path,
        m="use blocks\nuse broken\n" + HEAD + "a = blocks.f(x) + nope\nb = broken.g(x)\noutput a\n",
        blocks="input z: f32[3]\ndef f(x) {\n  return x + later\n}\nconst later = 1\n"
        "def h(x) { return gone }\n",
        broken="def g(x) { return x + }\n",
    )
    assert [line for line in wrong(model).split("\n") if ": error[" in line] == [
        "m.pjn:5:19: error[PJC0105]: unknown name 'nope'",
        "blocks.pjn:1:1: error[PJC0111]: a library holds blocks, constants and other libraries",
        "blocks.pjn:3:14: error[PJC0105]: 'later' is defined in line 5, below its use",
        "blocks.pjn:6:19: error[PJC0105]: unknown name 'gone'",
        "broken.pjn:1:23: error[PJC0102]: expected an expression, found the end of the line",
    ]


MISTAKES = {
    "use blocks": (
        "m.pjn:1:5: error[PJC0120]: there is no library 'blocks'",
        "or blocks.onnx beside the file",
    ),
    "use nnn": ("m.pjn:1:5: error[PJC0120]: there is no library 'nnn'", "did you mean 'nn'?"),
    "use m": ("m.pjn:1:5: error[PJC0120]: the file uses itself as the library 'm'", ""),
    "use one": (
        "two.pjn:1:5: error[PJC0120]: libraries cannot use each other in a circle: one uses two uses one",
        "",
    ),
    "use folder": ("m.pjn:1:5: error[PJC1101]: folder.pjn is a folder, expected a .pjn file", ""),
    "use latin": ("m.pjn:1:5: error[PJC1101]: latin.pjn is not UTF-8 text: byte 2 is 0xe9", ""),
    "use ../nn": ("m.pjn:1:5: error[PJC0102]: expected a name, found '..'", ""),
    "use nn\nuse nn": (
        "m.pjn:2:5: error[PJC0106]: 'nn' is a library, declared in line 1",
        "choose another name",
    ),
    "use nn\nnn = x": (
        "m.pjn:2:1: error[PJC0106]: 'nn' is a library, declared in line 1",
        "choose another name",
    ),
    "use nn\na = nn.linaer(x)": (
        "m.pjn:2:8: error[PJC0120]: the library 'nn' has no 'linaer'",
        "mean 'linear'?",
    ),
    "use nn\na = nn(x)": ("m.pjn:2:5: error[PJC0114]: the library 'nn' cannot be called", ""),
    "use nn\na = nn": ("m.pjn:2:5: error[PJC0113]: the library 'nn' is no value of its own", ""),
    "use nn\na = (nn, x)": ("m.pjn:2:6: error[PJC0113]: the library 'nn' is no value of its own", ""),
    "use nn\na = nn.linear": ("", ""),
    "a = nn.linear(x, 3)\nuse nn": (
        "m.pjn:1:5: error[PJC0105]: 'nn' is defined in line 2, below its use",
        "move it",
    ),
    "def f(x) {\n use nn\n return x\n}": ("m.pjn:2:2: error[PJC0111]: 'use' belongs outside of blocks", ""),
    "use nn\ndef f(x) { return nn.linear(x) }\na = f(x)": (
        "m.pjn:2:19: error[PJC0114]: linear needs the argument 'width'",
        "",
    ),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes(tmp_path: Path, line: str) -> None:
    model = files(tmp_path, m=line + "\n" + HEAD + "output x\n", one="use two\n", two="use one\n")
    (tmp_path / "folder.pjn").mkdir()
    (tmp_path / "latin.pjn").write_bytes(b"# \xe9\n")
    message, hint = MISTAKES[line]
    if not message:
        compile_file(model).at("net")
        return
    found = wrong(model)
    assert message in found and hint in found


def test_a_large_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "MAX_SOURCE_BYTES", 1000)
    model = files(tmp_path, m="use big\n" + HEAD + "output x\n", big="#" * 1001)
    assert "m.pjn:1:5: error[PJC1101]: big.pjn is larger than" in wrong(model)
    monkeypatch.setattr(libraries, "MAX_LIBRARIES", 3)
    names = [f"b{i}" for i in range(4)]
    texts = dict.fromkeys(names, "const a = 1\n")
    model = files(tmp_path, m="".join(f"use {name}\n" for name in names) + HEAD + "output x\n", **texts)
    assert "m.pjn:4:5: error[PJC0120]: more than 3 libraries are used" in wrong(model)


# The blocks of nn, against NumPy


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def attention(x: np.ndarray, p: dict[str, np.ndarray], heads: int, block: str) -> np.ndarray:
    """The formula of multi-head attention, head by head."""
    out = np.zeros((*x.shape[:2], p[f"{block}.query"].shape[1]))
    size = out.shape[-1] // heads
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        q, k, v = (x @ p[f"{block}.{name}"][:, own] for name in ("query", "key", "value"))
        out[..., own] = relu(np.einsum("btd,bsd->bts", q, k)) @ v
    return out @ p[f"{block}.out"]


def residual(x: np.ndarray, p: dict[str, np.ndarray], block: str) -> np.ndarray:
    hidden = relu(x @ p[f"{block}.dense_0.weight"] + p[f"{block}.dense_0.bias"])
    return x + hidden @ p[f"{block}.linear_0.weight"] + p[f"{block}.linear_0.bias"]


def convolved(x: Any, weight: Any, strides: tuple[int, int], groups: int) -> Any:
    return jax.lax.conv_general_dilated(
        x, weight, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


BLOCKS = {
    "nn.linear(x, 3)": lambda x, p: x @ p["linear_0.weight"] + p["linear_0.bias"],
    "nn.dense(x, 3)": lambda x, p: relu(x @ p["dense_0.weight"] + p["dense_0.bias"]),
    "nn.conv(reshape(x, (2, 5, 2, 2)), 6, (3, 1), strides = 2, groups = 2)": lambda x, p: relu(
        convolved(x.reshape(2, 5, 2, 2), p["conv_0.weight"], (2, 2), 2) + p["conv_0.bias"]
    ),
    "nn.conv_pool(reshape(x, (2, 5, 4, 1)), 3, window = (2, 3))": lambda x, p: (
        relu(
            convolved(x.reshape(2, 5, 4, 1), p["conv_pool_0.conv_0.weight"], (1, 1), 1)
            + p["conv_pool_0.conv_0.bias"]
        )[:, :4]
        .reshape(2, 2, 2, 2, 2, 3)
        .max((2, 4))
    ),
    "nn.readout(x, 3)": lambda x, p: x @ p["readout_0.weight"],
    "nn.mlp(x, 5, 3)": lambda x, p: (
        relu(x @ p["mlp_0.dense_0.weight"] + p["mlp_0.dense_0.bias"]) @ p["mlp_0.readout_0.weight"]
    ),
    "nn.residual(x, 5)": lambda x, p: residual(x, p, "residual_0"),
    "nn.rnn_cell(x, x[..., :2])": lambda x, p: relu(
        x @ p["rnn_cell_0.input_weight"]
        + x[..., :2] @ p["rnn_cell_0.recurrent_weight"]
        + p["rnn_cell_0.bias"]
    ),
    "nn.embed(t, 7, 3)": lambda x, p: p["embed_0.table"][np.array([[1, 6], [0, 1]])],
    "nn.attention(x, x[:, 1:], x[:, :4])": lambda x, p: (
        relu(np.einsum("btd,bsd->bts", x, x[:, 1:])) @ x[:, :4]
    ),
    "nn.attention(x[0], x[1], x[1])": lambda x, p: relu(x[0] @ x[1].T) @ x[1],
    "nn.split_heads(x, 2)": lambda x, p: x.reshape(2, 5, 2, 2).transpose(0, 2, 1, 3),
    "nn.multi_head_attention(x, 2, 6)": lambda x, p: attention(x, p, 2, "multi_head_attention_0"),
    "nn.attention_block(x, 2, 4, 8)": lambda x, p: residual(
        x + attention(x, p, 2, "attention_block_0.multi_head_attention_0"), p, "attention_block_0.residual_0"
    ),
}


@pytest.mark.parametrize("expression", BLOCKS)
def test_blocks_compute_their_formulas(expression: str) -> None:
    text = f"use nn\ninput x: f32[batch, 5, 4]\ninput t: int[2, 2]\noutput z = {expression}\n"
    with jax.enable_x64(True):
        program = compile_text(text, Options(batch=2, dtype="f64")).program()
        rng = np.random.default_rng(0)
        weights = {spec.name: rng.normal(size=spec.shape) for spec in program.parameters}
        x = rng.normal(size=(2, 5, 4))
        found = program.apply(weights, x, np.array([[1, 6], [0, 1]]))
        np.testing.assert_allclose(found, BLOCKS[expression](x, weights), rtol=1e-12, atol=1e-12)


def test_every_block_of_nn_is_tested() -> None:
    text = (STANDARD / "nn.pjn").read_text()
    declared = {line.split()[1].split("(")[0] for line in text.splitlines() if line.startswith("def ")}
    assert declared == {expression.split("(")[0].removeprefix("nn.") for expression in BLOCKS}


ATTENTION = """
use nn
input x: f32[batch, 3, 4]
target y: class[batch, 3]
h = nn.attention_block(x, 2, 4, 5)
logits = nn.readout(reshape(h, (batch, -1)), 3, scale = 1)
output logits
require margin(logits, y)
"""


@pytest.mark.parametrize(
    "solver", [pytest.param(s, marks=() if s == "ap" else pytest.mark.slow) for s in of_kind(outer=False)]
)
@pytest.mark.slow
def test_attention_trains_alike_at_every_level(solver: str) -> None:
    """Products of two values, batched over heads, held in every form that changes nothing."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(2, 3, 4)), np.array([0, 2], np.int32)
        found = []
        for level in (0, 1):
            program = compile_text(
                ATTENTION, Options(solver=solver, batch=2, dtype="f64", level=level)
            ).program()
            rng = np.random.default_rng(1)
            weights = {spec.name: rng.normal(size=spec.shape) / 2 for spec in program.parameters}
            lowered = program.jitted("update").lower(weights, {"x": x, "y": y}, np.int32(40))
            run = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
            found.append(run(weights, {"x": x, "y": y}, np.int32(40))[0])
        for name, value in found[0].items():
            np.testing.assert_allclose(found[1][name], value, rtol=0, atol=1e-11, err_msg=name)
            assert np.abs(value - weights[name]).max() > 1e-8, name


def test_pipes_are_no_sources(tmp_path: Path) -> None:
    for name in ("net", "beside"):
        os.mkfifo(tmp_path / f"{name}.pjn")
    with pytest.raises(DiagnosticError, match=r"net.pjn is no file but a pipe"):
        pjc.compile(tmp_path / "net.pjn")
    user = tmp_path / "user.pjn"
    user.write_text("use beside\ninput x: f32[batch, 2]\noutput z = x\n")
    with pytest.raises(DiagnosticError, match=r"beside.pjn is no file but a pipe"):
        pjc.compile(user)


def test_libraries_with_endings_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "beside.PJN").write_text("const width = 2\n")
    user = tmp_path / "USER.PJN"
    user.write_text("use beside\ninput x: f32[batch, beside.width]\noutput z = x\n")
    assert pjc.compile(user, batch=3).inputs[0].shape == (3, 2)
    user.write_text("use besides\ninput x: f32[batch, 2]\noutput z = x\n")
    with pytest.raises(DiagnosticError, match="did you mean 'beside'"):
        pjc.compile(user)
