"""The same network is the same problem however it arrives: as a function, as a text, as an ONNX model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import some_quick
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

import pjc
from pjc.dialects import feas, ops
from pjc.driver import Compilation
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.sources import Source, open_source, source_of

NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
NAMES = ("label", "called", "members", "initial", "initializer", "distribution", "scale")


def canonical(module: ModuleOp) -> list[str]:
    """Return a problem as lines without names: ops in the order in which what is asked for reads them.

    What parameters start from is left out, and numbers are as float32 has them.
    """
    problem = only(module, feas.ProblemOp)
    order: dict[Operation, int] = {}

    def visit(op: Operation) -> None:
        if op in order:
            return
        order[op] = len(order)
        for operand in op.operands:
            assert isinstance(operand.owner, Operation)
            visit(operand.owner)

    for op in problem.body.block.ops:
        if not op.results:
            visit(op)
    return [_line(op, order) for op in order]


def _line(op: Operation, order: Mapping[Operation, int]) -> str:
    loop = feas.loop_of(op)
    kept = {} if isinstance(op, ops.ParameterOp) else op.properties
    said = [f"{name}={value}" for name, value in sorted(kept.items()) if name not in NAMES]
    numbers = NUMBER.sub(lambda found: f"{float(np.float32(found[0])):.7g}", " ".join(said))
    read = [order[each.owner] for each in op.operands]  # type: ignore[index]
    types = [str(each.type) for each in op.results]
    return f"{op.name} {read} {numbers} {types} {'' if loop is None else loop.count}"


@dataclass(frozen=True)
class Case:
    """A network as a function, its parameters' shapes and its input's, and the same as a text."""

    function: Callable[..., Any]
    shapes: Mapping[str, tuple[int, ...]]
    given: tuple[int, ...]
    text: str

    def params(self) -> dict[str, Any]:
        generator = np.random.default_rng(0)
        return {
            name: (generator.normal(size=shape) / np.sqrt(shape[0])).astype("float32")
            for name, shape in self.shapes.items()
        }

    def written(self) -> str:
        heads = [
            f"param {name}: f32[{', '.join(map(str, shape))}] = he_normal"
            for name, shape in self.shapes.items()
        ]
        given = ", ".join(["batch", *map(str, self.given)])
        return "\n".join(
            [
                f"input x: f32[{given}]",
                "target y: class[batch, 5]",
                *heads,
                self.text,
                "require cross_entropy(logits, y)\n",
            ]
        )

    def network(self) -> Source:
        spec = pjc.f32[("batch", *self.given)]
        return pjc.network(self.function, self.params(), spec, loss=pjc.cross_entropy())

    def problem(self, source: Source, **options: Any) -> ModuleOp:
        return Compilation(source, Options(batch=4, **options)).at("feas")


def mlp(p: Any, x: jax.Array) -> jax.Array:
    return jax.nn.relu(x @ p["w"] + p["b"]) @ p["v"] + p["c"]


def cnn(p: Any, x: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", dimension_numbers=layout)
    y = jax.nn.relu(y + p["b"])
    y = jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return y.reshape(y.shape[0], -1) @ p["v"]


def recurrent(p: Any, x: jax.Array) -> jax.Array:
    def cell(h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, None]:
        return jax.nn.relu(x_t @ p["w"] + h @ p["u"] + p["b"]), None

    h, _ = jax.lax.scan(cell, jnp.zeros((x.shape[0], 16)), x.swapaxes(0, 1))
    return h @ p["v"]


def attention(p: Any, x: jax.Array) -> jax.Array:
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    scores = jax.nn.relu(jnp.einsum("bid,bjd->bij", q, k) / 24)
    h = x + jnp.einsum("bij,bjd->bid", scores, v) @ p["o"]
    h = h + jax.nn.relu(h @ p["m"] + p["b"]) @ p["n"]
    return h.mean(1) @ p["r"]


CASES = {
    "mlp": Case(
        mlp,
        {"b": (16,), "c": (5,), "v": (16, 5), "w": (12, 16)},
        (12,),
        "h = relu(x @ w + b)\noutput logits = h @ v + c",
    ),
    "cnn": Case(
        cnn,
        {"b": (4,), "k": (3, 3, 2, 4), "v": (64, 5)},
        (8, 8, 2),
        "h = max_pool(relu(conv2d(x, k, padding = SAME) + b), 2)\n"
        "output logits = reshape(h, (batch, 64)) @ v",
    ),
    "recurrent": Case(
        recurrent,
        {"b": (16,), "u": (16, 16), "v": (16, 5), "w": (3, 16)},
        (6, 3),
        "h = full((batch, 16), 0)\nfor t in 0..6 {\n  h = relu(x[:, t] @ w + h @ u + b)\n}\n"
        "output logits = h @ v",
    ),
    "attention": Case(
        attention,
        {
            "b": (24,),
            "k": (8, 16),
            "m": (8, 24),
            "n": (24, 8),
            "o": (16, 8),
            "q": (8, 16),
            "r": (8, 5),
            "v": (8, 16),
        },
        (6, 8),
        "s = relu(((x @ q) @ transpose(x @ k, (0, 2, 1))) / 24)\n"
        "h = x + (s @ (x @ v)) @ o\n"
        "g = h + relu(h @ m + b) @ n\n"
        "output logits = mean(g, axis = 1) @ r",
    ),
}
EVERY = pytest.mark.parametrize("case", list(CASES.values()), ids=list(CASES))


@EVERY
def test_a_function_and_a_text_are_the_same_problem(case: Case) -> None:
    traced, written = case.problem(case.network()), case.problem(source_of(case.written()))
    assert canonical(traced) == canonical(written)


@EVERY
def test_a_model_is_the_same_problem_as_the_text_that_it_was_exported_from(
    case: Case, tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    program = pjc.compile(case.written(), batch=4)
    program.to_onnx(case.params(), tmp_path / "model.onnx")
    model = case.problem(open_source(tmp_path / "model.onnx"), loss="cross_entropy")
    assert canonical(model) == canonical(case.problem(source_of(case.written())))


@pytest.mark.parametrize("solver", some_quick(["sweep", "dr"]))
@EVERY
def test_a_function_trains_to_the_same_bits_as_a_text(case: Case, solver: str) -> None:
    options: dict[str, Any] = {"batch": 4, "solver": solver}
    options |= {"iterations": 3} if solver == "dr" else {}
    spec, params = pjc.f32[("batch", *case.given)], case.params()
    traced = pjc.trace(case.function, params, spec, loss=pjc.cross_entropy(), **options)
    program = pjc.compile(case.written(), **options)
    generator = np.random.default_rng(1)
    x = generator.normal(size=(4, *case.given)).astype("float32")
    y = np.array([0, 3, 1, 4])
    if solver == "dr":
        pairs = [(traced.update(params, x, y)[0], program.update(params, x, y)[0])]
    else:
        pairs = [(traced.displacement(params, x, y)[0], program.displacement(params, x, y)[0])]
        one, other = traced.start(params), program.start(params)
        for _ in range(2):
            one, other = traced.step(one, x, y)[0], program.step(other, x, y)[0]
        pairs.append((one.params, other.params))
    for ours, theirs in pairs:
        assert ours.keys() == theirs.keys() == params.keys()
        for name in params:
            np.testing.assert_array_equal(ours[name], theirs[name])
            assert np.any(np.asarray(ours[name]) != 0)


def test_a_difference_is_seen() -> None:
    texts = [CASES["mlp"].written(), CASES["mlp"].written().replace("x @ w + b", "2 * (x @ w) + b")]
    texts.append(CASES["mlp"].written().replace("h @ v + c", "relu(h @ v) + c"))
    found = [canonical(CASES["mlp"].problem(source_of(each))) for each in texts]
    assert found[0] != found[1] and found[0] != found[2] and found[1] != found[2]


# --- stacks -------------------------------------------------------------------------------------------

LAYERS = 32


def layer(p: Any, x: jax.Array) -> jax.Array:
    scores = jax.nn.relu(jnp.einsum("bid,bjd->bij", x @ p["q"], x @ p["k"]) / 4) / x.shape[1]
    h = x + jnp.einsum("bij,bjd->bid", scores, x @ p["v"]) @ p["o"]
    return h + jax.nn.relu(h @ p["w"] + p["b"]) @ p["u"] + p["c"]


def in_python(params: Any, x: jax.Array) -> jax.Array:
    for each in params["layers"]:
        x = layer(each, x)
    return x.mean(1) @ params["head"]


def in_scan(params: Any, x: jax.Array) -> jax.Array:
    x, _ = jax.lax.scan(lambda h, p: (layer(p, h), None), x, params["layers"])
    return x.mean(1) @ params["head"]


def test_a_stack_of_equal_layers_is_one_loop() -> None:
    shapes = {"q": (8, 4), "k": (8, 4), "v": (8, 4), "o": (4, 8), "w": (8, 16), "b": (16,), "u": (16, 8)}
    shapes |= {"c": (8,)}
    generator = np.random.default_rng(0)
    layers = [
        {name: 0.1 * generator.normal(size=shape).astype("float32") for name, shape in shapes.items()}
        for _ in range(LAYERS)
    ]
    head = generator.normal(size=(8, 5)).astype("float32")
    listed, stacked = {"layers": layers, "head": head}, {"head": head}
    stacked["layers"] = jax.tree.map(lambda *leaves: np.stack(leaves), *layers)
    spec = pjc.f32["batch", 6, 8]
    programs = [
        pjc.trace(function, params, spec, loss=pjc.cross_entropy(), batch=4)
        for function, params in ((in_python, listed), (in_scan, stacked))
    ]
    for program in programs:
        problem = program.ir("feas")
        assert problem.count("op.dot") == 9  # eight of a layer, and the head
        assert len(re.findall(rf"op\.dot.*#feas\.loop<\"\w+\" {LAYERS}>", problem)) == 8
    x = generator.normal(size=(4, 6, 8)).astype("float32")
    expected = in_python(listed, x)
    for program, params in zip(programs, (listed, stacked), strict=True):
        np.testing.assert_allclose(program.apply(params, x), expected, atol=1e-5)
    y = np.array([0, 3, 1, 4])
    found, _ = programs[0].displacement(listed, x, y)
    other, _ = programs[1].displacement(stacked, x, y)
    np.testing.assert_allclose(found["layers"][5]["q"], other["layers"]["q"][5], rtol=1e-4, atol=1e-7)
