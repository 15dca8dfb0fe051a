"""Names that others have for functions: what the language, tracing and ONNX say to use instead."""

from __future__ import annotations

import re

import pytest

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.driver import compile_text
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.libraries import STANDARD
from pjc.frontends.losses import LOSSES
from pjc.frontends.sets import SETS
from pjc.onnx.importer import HANDLERS
from pjc.options import Options
from pjc.standins import known_names, standin, standin_in_language, standin_in_onnx

HEAD = "input x: f32[batch, 8]\ntarget y: class[batch, 3]\nparam w: f32[8, 3] = he_normal\nuse nn\n"


def said(line: str) -> str:
    """Return the complaint about a network with this line, the fifth."""
    with pytest.raises(DiagnosticError) as caught:
        compile_text(f"{HEAD}{line}\noutput z = x @ w\n", Options(), file="m.pjn").emit("net")
    return str(caught.value)


NO_PROJECTION = {
    "tanh": "clip(x, -1, 1)",
    "sigmoid": "clip(x / 6 + 0.5, 0, 1)",
    "softmax": "relu(scores)",
    "log_softmax": "cross_entropy",
    "gelu": "relu(x)",
    "exp": "piecewise",
    "dropout": "leave it out",
    "layer_norm": "smaller first weights",
    "batch_norm": "smaller first weights",
    "LayerNorm": "smaller first weights",
    "Tanh": "clip(x, -1, 1)",
    "softplus": "relu(x)",
    "elu": "leaky_relu(x, 0.1)",
    "sqrt": "piecewise",
    "LSTM": "nn.rnn_cell",
    "argmax": "output the scores",
    "one_hot": "embedding",
    "batchnorm2d": "smaller first weights",
}


@pytest.mark.parametrize("name", NO_PROJECTION)
def test_functions_without_a_projection(name: str) -> None:
    text = said(f"h = {name}(x @ w)")
    assert f"m.pjn:5:5: error[PJC0105]: unknown name '{name}', a function that has no projection\n" in text
    assert NO_PROJECTION[name] in text.splitlines()[-1]


OTHERWISE = {
    "h = linear(x, 8)": ("5:5", "nn.linear(x, width)"),
    "h = Dense(x, 8)": ("5:5", "nn.linear(x, width)"),
    "h = ReLU(x)": ("5:5", "did you mean 'relu'?"),
    "h = LeakyReLU(x)": ("5:5", "did you mean 'leaky_relu'?"),
    "h = Conv2D(x, w)": ("5:5", "did you mean 'conv2d'?"),
    "h = MaxPool(x, 2)": ("5:5", "did you mean 'max_pool'?"),
    "h = max_pool2d(x, 2)": ("5:5", "max_pool(x, 2)"),
    "h = bmm(x, w)": ("5:5", "x @ w"),
    "h = concatenate(x, x)": ("5:5", "concat("),
    "h = mse(x, y)": ("5:5", "require squared_error"),
    "require mse(x, y)": ("5:9", "require squared_error"),
    "require nll_loss(x, y)": ("5:9", "require cross_entropy"),
    "require softmax_cross_entropy(x, y)": ("5:9", "require cross_entropy"),
    "require CrossEntropyLoss(x, y)": ("5:9", "require cross_entropy"),
    "require CrossEntropy(x, y)": ("5:9", "did you mean 'cross_entropy'?"),
    "require w in nonnegative()": ("5:14", "nonneg()"),
    "require w in unit_norm()": ("5:14", "sphere(1)"),
    "param v: f32[8, 8] = xavier_uniform": ("5:22", "glorot_uniform"),
    "param v: f32[8, 8] = kaiming_normal": ("5:22", "he_normal"),
    "h = nn.Linear(x, 8)": ("5:8", "did you mean 'linear'?"),
    "h = nn.softmax(x)": ("5:8", "cross_entropy"),
    "h = jnp.tanh(x)": ("5:5", "functions stand alone"),
    "h = F.relu(x)": ("5:5", "functions stand alone"),
    "h = x.reshape(8)": ("5:7", "reshape(x, ..)"),
    "h = x.T @ w": ("5:7", "transpose(x, permutation)"),
    "h = x.view(8)": ("5:7", "reshape(x, shape)"),
    "h = sigmoidd(x)": ("5:5", "if 'sigmoid' is meant: use clip("),
    "h = rellu(x)": ("5:5", "did you mean 'relu'?"),
    "h = x @ ww": ("5:9", "did you mean 'w'?"),
}


@pytest.mark.parametrize("line", OTHERWISE)
def test_names_that_others_have(line: str) -> None:
    place, hint = OTHERWISE[line]
    text = said(line)
    assert re.search(rf"m\.pjn:{place}: error\[PJC\d+\]: ", text) and hint in text.splitlines()[-1]


def test_a_library_that_is_not_opened_is_named() -> None:
    with pytest.raises(DiagnosticError, match=r"unknown name 'nn'\n.*\n.*\nhint: .*use nn"):
        compile_text("input x: f32[batch, 8]\noutput z = nn.linear(x, 3)\n", Options()).emit("net")


def test_names_of_the_users_own_come_first() -> None:
    block = "def tanh(x) {\n  return clip(x, -1, 1)\n}\n"
    text = f"{block}{HEAD}output z = tanh(x @ w)\nrequire cross_entropy(z, y)\n"
    assert "clip" in compile_text(text, Options()).emit("net")


def test_what_is_advised_is_in_the_language() -> None:
    blocks = set(re.findall(r"^def (\w+)", (STANDARD / "nn.pjn").read_text(), re.MULTILINE))
    called = set()
    for name in known_names():
        found = standin_in_language(name)
        if found is not None and found.language is not None:
            for module, function in re.findall(r"\b(nn\.)?(\w+)\(", found.language):
                known = blocks if module else {*FUNCTIONS, *LOSSES, *SETS, "normal", "uniform"}
                assert function in known, (name, function)
                called.add(function)
    assert len(called) > 20


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "elu", "relu6", "pow", "neg", "hard_tanh"])
def test_what_is_advised_compiles(name: str) -> None:
    found = standin_in_language(name)
    assert found is not None and found.language is not None
    code = re.sub(r"^(use|write) ", "", found.language)
    code = re.split(r", (?:which|or) ", code)[0]
    compile_text(f"{HEAD}h = {code}\noutput z = h @ w\nrequire cross_entropy(z, y)\n", Options()).emit("net")


@pytest.mark.parametrize("name", ["tanh", "softmax", "layer_norm", "lstm", "exp", "floor", "argmax"])
def test_one_entry_has_all_vocabularies(name: str) -> None:
    found = standin(name)
    assert found is not None and found is standin_in_language(name)
    assert found.onnx is not None and found.jax is not None
    assert standin_in_onnx("".join(map(str.title, name.split("_")))) == found.onnx


def test_onnx_operators_that_are_known_are_not_advised_against() -> None:
    lacking = [op for op in HANDLERS if (found := standin_in_language(op)) and found.lacking and found.onnx]
    assert lacking == []


def test_what_is_not_known_has_no_entry() -> None:
    assert standin_in_language("relu") is None and standin_in_language("hidden") is None
    assert standin("linear") is None
    assert "docs/onnx.md" in standin_in_onnx("Einsum") and "docs/onnx.md" in standin_in_onnx("Foo")


def test_tracing_says_it_in_words_of_jax() -> None:
    import jax.numpy as jnp

    with pytest.raises(pjc.DiagnosticError, match=r"jax\.nn\.hard_tanh"):
        pjc.trace(lambda p, x: jnp.tanh(x @ p), jnp.ones((4, 4)), pjc.f32["batch", 4])
