"""Networks built from Python: the same as from text, everything reachable, mistakes in sentences."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, f64
from xdsl.irdl import irdl_op_definition, prop_def
from xdsl.parser import Parser

import pjc
import pjc.builder
from pjc.builder import LoopIndex, Network, Tensor
from pjc.diagnostics import DiagnosticError, Span
from pjc.dialects import ops, view
from pjc.dialects.sets import SETS
from pjc.dialects.shapes import ShapeError
from pjc.frontends.builtins import FUNCTIONS, of_operation
from pjc.frontends.elaborate import elaborate
from pjc.frontends.losses import LOSSES
from pjc.frontends.pjn import parse
from pjc.frontends.values import Given
from pjc.universe import context

ROOT = Path(__file__).parent.parent
BUILDER = Path(pjc.builder.__file__).parent


def test_the_example_of_the_package_runs() -> None:
    result = doctest.testmod(pjc.builder)
    assert result.attempted > 8 and not result.failed


def test_the_example_of_the_page_is_the_network_beside_it() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8").partition("## From Python")[2]
    ((text, calls),) = re.findall(r"```pjn\n(.*?)```.*?```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(calls, "language.md", "exec"), names)
    assert plain(names["net"].module()) == plain(elaborate(parse(text, "m.pjn"), name="rnn", batch=32).module)


# --- as from text -----------------------------------------------------------------------------------

TEXTS: dict[str, str] = {}
BUILT: dict[str, Callable[[Network], None]] = {}


def pair(text: str) -> Callable[[Callable[[Network], None]], Callable[[Network], None]]:
    """Enter a network as text, and the function that builds the same by calls."""

    def enter(build: Callable[[Network], None]) -> Callable[[Network], None]:
        TEXTS[build.__name__], BUILT[build.__name__] = text, build
        return build

    return enter


@pair("""
input x: f32[batch, 6]
target y: class[batch, 3]
def dense(x, n) {
  param w: f32[x.shape[1], n] = 0.5 * he_normal
  param b: f32[n] = uniform(-1, 1)
  return sum_relu(x @ w, b)
}
h = dense(x, 5)
z = dense(h, 3) - 2 * h[:, 1:4] + 1
output z
require cross_entropy(z, y, strength = 2)
""")
def layers(net: Network) -> None:
    x, y = net.input("x", (4, 6)), net.target("y", (4,), classes=3)

    def dense(call: int, x: Tensor, n: int) -> Tensor:
        site = net.within(f"dense_{call}")
        w = site.parameter("w", (x.shape[1], n), "0.5 * he_normal")
        b = site.parameter("b", (n,), "uniform(-1, 1)")
        return site.sum_relu(site.matmul(x, w), b)

    h = dense(0, x, 5)
    last = dense(1, h, 3)
    cut = net.weighted([net.index(h, slice(None), slice(1, 4))], [2.0])
    z = net.weighted([last, cut], [1.0, -1.0], 1.0)
    net.output("z", z)
    net.require_cross_entropy(z, y, strength=2.0)


@pair("""
input x: f32[batch, 8, 8, 2]
target y: f32[batch, 4]
param w: f32[3, 3, 2, 4] = normal(0.1)
c = conv2d(x, w, strides = 2)
p = max_pool(c, 2)
m = mean(avg_pool(abs(p), (2, 1)), axis = (1, 2))
output m
require w in ball(2, axis = (0, 1))
require squared_error(m, y)
""")
def images(net: Network) -> None:
    x, y = net.input("x", (4, 8, 8, 2)), net.target("y", (4, 4))
    w = net.parameter("w", (3, 3, 2, 4), "normal(0.1)")
    p = net.max_pool(net.conv2d(x, w, strides=2), 2)
    m = net.mean(net.avg_pool(net.abs(p), (2, 1)), axis=(1, 2))
    net.output("m", m)
    net.require_in(w, "ball", 2, axis=(0, 1))
    net.require_squared_error(m, y)


@pair("""
input x: f32[batch, 5, 3]
target y: f32[batch, 5, 4]
param u: f32[3, 4] = he_normal
param w: f32[4, 4] = he_normal
h = full((batch, 4), 0)
for t in 0..4 {
  param b: f32[4] = zeros
  h = sum_relu(x[:, t + 1] @ u, h @ w, b)
  out = identity(h)
}
last = transpose(out, (1, 0, 2))
output h
output last
require equal(concat(last, expand(h, 1), axis = 1), y)
""")
def loops(net: Network) -> None:
    x, y = net.input("x", (4, 5, 3)), net.target("y", (4, 5, 4))
    u, w = net.parameter("u", (3, 4), "he_normal"), net.parameter("w", (4, 4), "he_normal")

    def body(t: LoopIndex, h: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        b = net.parameter("b", (4,), "zeros")
        read = net.matmul(net.index(x, slice(None), t + 1), u)
        h = net.sum_relu(read, net.matmul(h, w), b)
        return [h], [net.identity(h), h]

    (h,), (out, _) = net.loop("t", 4, body, [net.full((4, 4))])
    last = net.transpose(out, (1, 0, 2))
    net.output("h", h)
    net.output("last", last)
    net.require_equal(net.concat(last, net.expand(h, 1), axis=1), y)


def plain(module: Any) -> str:
    """Return a module's text, without the names that values have in it."""
    module.verify()
    for op in module.walk():
        for value in (*op.results, *(each for region in op.regions for each in region.block.args)):
            value.name_hint = None
    return str(module)


@pytest.mark.parametrize("name", BUILT)
def test_calls_build_what_text_builds(name: str) -> None:
    net = Network("m", batch=4)
    BUILT[name](net)
    assert plain(net.module()) == plain(elaborate(parse(TEXTS[name], "m.pjn"), name="m", batch=4).module)


@pytest.mark.parametrize("name", BUILT)
def test_what_is_built_can_be_written_and_read(name: str) -> None:
    net = Network("m", batch=4)
    BUILT[name](net)
    text = str(net.module())
    assert str(Parser(context(), text).parse_module()) == text


def test_what_is_built_trains_as_what_is_written() -> None:
    net = Network("network", batch=4)
    BUILT["layers"](net)
    built = pjc.compile(net, solver="dr", iterations=3)
    written = pjc.compile(TEXTS["layers"], batch=4, solver="dr", iterations=3)
    x, y = np.arange(24, dtype=np.float32).reshape(4, 6) / 24, np.array([0, 1, 2, 1])
    ours, theirs = (each.update(each.init(0), x, y)[0] for each in (built, written))
    assert ours.keys() == theirs.keys() == {"dense_0.w", "dense_0.b", "dense_1.w", "dense_1.b"}
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    with pytest.raises(DiagnosticError, match="batch does not apply to IR"):
        pjc.compile(net, batch=8)


def test_a_built_network_is_kept_in_its_file(tmp_path: Path) -> None:
    net = Network("network", batch=4)
    BUILT["images"](net)
    program = pjc.compile(net, solver="dr", iterations=3)
    program.save(tmp_path / "a.pjx")
    again = pjc.load(tmp_path / "a.pjx")
    assert again.ir("feas") == program.ir("feas")


# --- everything is reachable --------------------------------------------------------------------------


def test_every_function_and_loss_of_the_language_is_the_builders() -> None:
    entries = {kind.name for kind in ops.FUNCTIONS}  # for these there is Network.elementwise
    for name in FUNCTIONS:
        method = {"dot": "matmul", "embedding": "gather"}.get(name, name)
        assert callable(getattr(Network, method, None)) or f"op.{name}" in entries, name
    for name, function in LOSSES.items():
        assert getattr(Network, f"require_{name}") is function.build


def test_every_operation_can_be_built() -> None:
    """All ops of a network but convolutions, which a pass forms, and what only Python can register."""
    net = Network("all")
    everything(net)
    made = {op.name for op in net.module().walk()}
    wanted = {op.name for op in (*ops.OP.operations, *view.VIEW.operations)}
    assert wanted - made == {"op.convolution", "op.apply", "view.shift"}
    assert {op.kind.data for op in net.module().walk() if isinstance(op, ops.SetOp)} == SETS.keys()
    unlabelled = [op for op in net.module().walk() if isinstance(op, ops.NodeOp) and op.label is None]
    assert not unlabelled


@irdl_op_definition
class SoftOp(ops.ElementwiseOp):
    """An operation as ``dialects/ops.py`` declares one."""

    name = "op.soft"
    FUNCTION: ClassVar[bool] = True
    NUMBERS: ClassVar[Mapping[str, float | None]] = {"slope": None}

    slope = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $operand $slope (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"
    )


def test_an_operation_is_a_function_by_its_declaration() -> None:
    function, net = of_operation(SoftOp), Network("m", batch=4)
    assert function.name == "soft" and [slot.name for slot in function.slots] == ["x", "slope"]
    x, span = net.input("x", (4, 6)), Span("m.pjn", 1, 1, 1, 2)
    made = function(net, {"x": [Given(None, x, span)], "slope": [Given(None, 2, span)]})
    assert str(made) == "f32[batch=4, 6]"
    net.output("z", made)
    assert 'op.soft "soft" %x 2.000000e+00 :' in str(net.module())


def everything(net: Network) -> None:
    """Build each operation at least once."""
    x, table = net.input("x", (6, 4)), net.parameter("table", (9, 4), "zeros")
    tokens = net.input("tokens", (6,), integers=True)
    classes, numbers = net.target("c", (6,), classes=4), net.target("n", (6, 4))
    rows = net.gather(table, tokens)
    values = [net.add(x, rows), net.product(x, rows), net.relu(x), net.sum(x, axis=1), net.mean(x, 0)]
    values += [net.maximum(x, rows), net.minimum(x, rows), net.max(x, 1), net.min(x, axis=(0, 1))]
    values += [net.abs(x), net.leaky_relu(x), net.clip(x, 0, 1), net.sign(x), net.step(x, 0.5, 0.1)]
    values += [net.piecewise(x, [0], [1, 2], [0, 0]), net.round(x), net.quantize(x), net.identity(x)]
    values += [net.stack(x, rows), net.squeeze(net.expand(x, 1)), net.pad(x, [(1, 0), (0, 2)])]
    values += [net.flatten(net.index(x, slice(1, 5, 2), ...)), net.transpose(x), net.reshape(x, (-1, 2))]
    values += [net.broadcast(net.index(x, 0), (6, 4))]
    image = net.reshape(x, (1, 6, 4, 1))
    kernel = net.full((2, 2, 1, 1), 1.0)
    values += [net.conv2d(image, kernel, padding="VALID"), net.matmul(x, net.transpose(x))]
    values += net.loop("t", 4, lambda t: ([], [net.relu(net.index(x, slice(None), t))]))[1]
    for function in ops.FUNCTIONS:
        numbered = enumerate(function.NUMBERS.items(), 1)  # a range's low is below its high
        given = {name: float(n) if default is None else default for n, (name, default) in numbered}
        values.append(net.elementwise(function, x, **given))
    for number, value in enumerate(values):
        net.output(f"z{number}", value)
    net.require_cross_entropy(x, classes)
    net.require_margin(x, classes)
    net.require_class_margin(x, classes)
    net.require_hinge(x, classes)
    net.require_multi_label(x, numbers)
    net.require_squared_error(values[0], x)
    net.require_equal(x, numbers)
    square = net.parameter("square", (4, 4), "zeros")
    for name, kind in SETS.items():
        net.require_in(square, name, *kind.example)


# --- what it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), [(3, "f32"), ("", "f32"), ("n", "f16"), ("n", 32)])
def test_a_network_has_a_name_and_a_type(name: Any, dtype: Any) -> None:
    with pytest.raises(DiagnosticError, match=r"a network (has a name|computes in f32 or f64), found "):
        Network(name, dtype=dtype)


def test_what_fails_in_the_body_of_a_loop_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Network("n").loop("t", 2, lambda t: ([], [1 // 0]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda net, x, y: net.matmul(x, x), "'@' needs the last dimension of f32.* to equal"),
        (lambda net, x, y: net.identity(None), "identity: 'x' is a tensor of the network, found None"),
        (lambda net, x, y: net.add(1.5, x), "add: 'inputs' is a tensor of the network, found 1.5"),
        (lambda net, x, y: net.output(x, x), "output: 'name' is a text, found Tensor"),
        (lambda net, x, y: net.input(3, (8, 4)), "input: 'name' is a text, found 3"),
        (lambda net, x, y: net.input("u", ("batch", 4)), "input cannot take these arguments: "),
        (lambda net, x, y: net.matmul(x), "matmul: missing a required argument: "),
        (lambda net, x, y: net.clip(x, x, x), "clip cannot take these arguments: "),
        (lambda net, x, y: net.add(x), "add takes at least two inputs, got one"),
        (lambda net, x, y: net.concat(), "concat takes at least one input, got none"),
        (lambda net, x, y: net.index(x, 9), r"index 9 is out of range for axis 0 of f32\[batch=4, 6\]"),
        (lambda net, x, y: net.conv2d(x, x), r"conv2d takes a tensor of \[batch, height, width, channels\]"),
        (lambda net, x, y: net.quantize(x, [1, 0]), "levels must be strictly increasing"),
        (lambda net, x, y: net.clip(x, 1, 0), "clip needs low < high"),
        (lambda net, x, y: net.parameter("w", (2, 0), "zeros"), "every dimension must be at least 1"),
        (lambda net, x, y: net.parameter("w", (2,), "he"), "there is no initializer 'he'"),
        (lambda net, x, y: net.parameter("w", (2,), "2 normal"), "'2 normal' is no initializer"),
        (lambda net, x, y: net.parameter("w", (2,), "normal"), "'normal' takes 1 numbers, found 0"),
        (lambda net, x, y: net.parameter("w", (2,), "normal(-1)"), "takes a standard deviation, found -1"),
        (lambda net, x, y: net.input("x", (4,)), "there is already an input or a target called 'x'"),
        (lambda net, x, y: net.input("u", (5,), ("batch",)), "'batch' is 4 elsewhere, and 5 in 'u'"),
        (lambda net, x, y: net.input("u", (5,), ()), "needs as many names, found 0"),
        (lambda net, x, y: net.require_cross_entropy(x, y), "the last dimension|their dimensions differ"),
        (lambda net, x, y: net.require_equal(x, y), "compares with a target of numbers or with an input"),
        (lambda net, x, y: net.require_squared_error(x, x, -1), "strength must be positive, found -1"),
        (lambda net, x, y: net.require_in(x, "ball", -1), "radius must be positive, found -1"),
        (lambda net, x, y: net.require_in(x, "bal"), "there is no set 'bal'"),
        (lambda net, x, y: net.require_in(x, "box", 1), r"'box' takes low, high; found \[1\]"),
        (lambda net, x, y: net.require_in(x, "nonneg", 1), r"'nonneg' takes no arguments; found \[1\]"),
        (
            lambda net, x, y: net.require_in(x, "ball", radius="a"),
            "'radius' must be a number above 0, found 'a'",
        ),
        (lambda net, x, y: net.require_in(x, "mask", [[1], [1, 2]]), "'entries' must be a number, or nested"),
        (lambda net, x, y: net.require_in(x, "rank", 9), "rank needs a number from 1 to 4"),
        (lambda net, x, y: net.loop("t", 0, lambda t: ([], [])), "a loop has 1 to .* iterations"),
        (lambda net, x, y: net.loop("t", 2, lambda t, h: ([], []), [x]), "carries f32.* returns nothing"),
        (
            lambda net, x, y: net.loop("t", 7, lambda t: ([], [net.index(x, t)])),
            "reads entries 0 to 6 of axis 0",
        ),
        (lambda net, x, y: net.loop("t", 2, lambda t: ([], [net.index(x, t * -1)])), "is no index"),
    ],
)
def test_mistakes_are_sentences(build: Callable[..., Any], message: str) -> None:
    net = Network("m", batch=4)
    x, y = net.input("x", (4, 6)), net.target("y", (4,), classes=3)
    with pytest.raises(ShapeError, match=message):
        build(net, x, y)


def test_a_mistake_leaves_the_network_as_it_was() -> None:
    net = Network("m", batch=4)
    for shape in ((4, 0), (4, 6)):
        with pytest.raises(ShapeError):
            net.input("x", shape, ("batch", "n", "m"))
        with pytest.raises(ShapeError):
            net.parameter("w", shape, "unknown")
    with pytest.raises(ShapeError):
        net.quantize(net.parameter("w", (6,), "zeros"), [1, 0])
    net.output("z", net.input("x", (4, 6), ("batch", "n")))
    assert repr(net) == "Network('m', 3 operations)" and net.emitter.dims == {"batch": 4, "n": 6}
    net.module().verify()


def test_a_network_needs_an_output_and_a_known_type() -> None:
    with pytest.raises(DiagnosticError, match="the network has no output"):
        Network("m").module()
    with pytest.raises(DiagnosticError, match="f32 or f64, found 'f16'"):
        Network("m", dtype="f16")


def test_a_module_is_a_copy_of_what_there_is_so_far() -> None:
    net = Network("m", batch=2)
    net.output("a", net.relu(net.input("x", (2, 3))))
    first = net.module()
    text = str(first)
    net.output("b", net.full((2,), 1.0))
    assert str(first) == text and 'op.output "b"' in str(net.module())


def test_the_builder_knows_nothing_of_the_language() -> None:
    for path in BUILDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = (
                    [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                )
                assert not any(name.startswith(("pjc.frontends", "ast")) for name in names), path
