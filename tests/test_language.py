"""The language: what files mean, and what is said of wrong ones."""

from __future__ import annotations

import re

import pytest
from xdsl.dialects.builtin import FileLineColLoc

from pjc.diagnostics import DiagnosticError
from pjc.dialects import net, ops
from pjc.dialects.loops import AtOp, ForOp
from pjc.frontends import ast
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.elaborate import elaborate
from pjc.frontends.pjn import parse
from pjc.options import parse_define

HEAD = "input x: f32[batch, 64]\ntarget y: class[batch, 10]\n"
BLOCKS = """\
def dense(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}
def relu(x) {
  param bias: f32[x.shape[-1]] = zeros
  return sum_relu(bias, x)
}
out = dense
"""


def compile_(text: str, **options: object) -> net.NetworkOp:
    """Return the verified network of a file."""
    module = elaborate(parse(text, "m.pjn"), name="m", **options).module  # type: ignore[arg-type]
    module.verify()
    (network,) = module.body.ops
    assert isinstance(network, net.NetworkOp)
    return network


def errors(text: str, **options: object) -> str:
    """Return what is printed for a wrong file."""
    with pytest.raises(DiagnosticError) as caught:
        compile_(text, **options)
    return str(caught.value)


def messages(text: str) -> list[str]:
    with pytest.raises(DiagnosticError) as caught:
        compile_(text)
    return [each.message for each in caught.value.diagnostics]


def params(network: net.NetworkOp) -> dict[str, tuple[int, ...]]:
    found = [op for op in network.body.block.ops if isinstance(op, ops.ParameterOp)]
    return {op.label.data: tuple(op.result.type.get_shape()) for op in found}  # type: ignore[attr-defined]


def kinds(network: net.NetworkOp) -> list[str]:
    return [op.name for op in network.body.block.ops]


def output_type(network: net.NetworkOp) -> str:
    (output,) = (op for op in network.body.block.ops if isinstance(op, ops.OutputOp))
    return str(output.value.type)


# Networks


def test_mlp_skip_has_the_names_of_the_golden_file() -> None:
    network = compile_(
        "input x: f32[batch, 6]\ntarget y: class[batch, 3]\n" + BLOCKS + "h0 = relu(dense(x, 5))\n"
        "h1 = relu(dense(h0, 4))\nlogits = out(concat(h0, h1), 3)\noutput logits\n"
        "require cross_entropy(logits, y)\n",
        batch=7,
        dtype="f64",
    )
    assert params(network) == {
        "dense_0.weight": (6, 5),
        "relu_0.bias": (5,),
        "dense_1.weight": (5, 4),
        "relu_1.bias": (4,),
        "out.weight": (9, 3),
    }
    assert output_type(network) == "tensor<7x3xf64>"
    assert str(network.dims) == "{batch = 7 : i64}"
    assert kinds(network)[-2:] == ["op.output", "op.cross_entropy"]


def test_residual() -> None:
    network = compile_(
        "input x: f32[batch, 5]\n"
        + BLOCKS.replace("def relu(x)", "def relu(x, skip)").replace("(bias, x)", "(bias, x, identity(skip))")
        + "a = dense(x, 5)\nb = relu(a, x)\nlogits = out(b, 3)\noutput logits\n"
    )
    assert params(network)["relu_0.bias"] == (5,)
    assert "op.identity" in kinds(network)


def test_quantized() -> None:
    network = compile_(
        "input x: f32[batch, 5]\n" + BLOCKS + "first = dense\n"
        "logits = out(quantize(first(x, 4)), 3)\noutput logits\n"
    )
    assert list(params(network)) == ["first.weight", "out.weight"]
    (quantize,) = (op for op in network.body.block.ops if isinstance(op, ops.QuantizeOp))
    assert quantize.levels.get_values() == (-1, 1)


def test_nested_blocks_have_dotted_names() -> None:
    network = compile_(
        HEAD + BLOCKS + "def mlp(x, n) {\n  shared = dense\n  a = relu(dense(x, n))\n"
        "  return shared(shared(relu(dense(a, n)), n), n)\n}\n"
        "z = mlp(mlp(x, 8), 8)\noutput z\n"
    )
    first = [name for name in params(network) if name.startswith("mlp_0.")]
    assert first == [
        "mlp_0.dense_0.weight",
        "mlp_0.relu_0.bias",
        "mlp_0.dense_1.weight",
        "mlp_0.relu_1.bias",
        "mlp_0.shared.weight",
    ]
    assert len(params(network)) == 10


def test_a_block_bound_to_a_name_shares_its_parameters() -> None:
    block = "def two(x) {\n  return dense(dense(x, 8), 64)\n}\n"
    network = compile_(HEAD + BLOCKS + block + "t = two\nz = t(t(x))\noutput z\n")
    assert list(params(network)) == ["t.dense_0.weight", "t.dense_1.weight"]
    assert kinds(network).count("op.dot") == 4


def test_a_shared_parameter_must_fit_both_calls() -> None:
    text = HEAD + BLOCKS + "a = out(x, 3)\nb = out(x, 4)\noutput a\n"
    assert errors(text) == (
        "m.pjn:4:9: error[PJC0119]: 'out.weight' is shared, but this call needs it as "
        "f32[64, 4] = he_normal; "
        "the call in line 12 made it f32[64, 3] = he_normal\n"
        "      param weight: f32[x.shape[-1], width] = he_normal\n"
        "            ^~~~~~\n"
        "hint: calls of a block that is bound to a name share its parameters; "
        "in out, called in line 13"
    )


def test_a_chain_of_plus_is_one_sum() -> None:
    network = compile_(HEAD + "h = x + x + x[0]\ng = (h + x) + x\noutput g\n")
    sums = [len(op.operands) for op in network.body.block.ops if isinstance(op, ops.SumOp)]
    assert sums == [3, 2, 2]
    assert kinds(network).count("view.broadcast") == 1


def test_initializers() -> None:
    text = "const s = 0.5\n" + "".join(
        f"param p{i}: f32[2] = {init}\n"
        for i, init in enumerate(
            ("zeros", "2 * ones", "constant(s / 2)", "normal(std = 0.1)", "-s * uniform(-1, 1) / 2",
             "he_normal", "glorot_uniform * (1 + s)")
        )
    )  # fmt: skip
    network = compile_(text + "output p0\n")
    inits = [str(op.init) for op in network.body.block.ops if isinstance(op, ops.ParameterOp)]
    assert inits == [
        "#op.init<1.0 * zeros>",
        "#op.init<2.0 * ones>",
        "#op.init<1.0 * constant(0.25)>",
        "#op.init<1.0 * normal(0.1)>",
        "#op.init<-0.25 * uniform(-1.0, 1.0)>",
        "#op.init<1.0 * he_normal>",
        "#op.init<1.5 * glorot_uniform>",
    ]


def test_losses_and_targets() -> None:
    network = compile_(
        HEAD + "target r: f32[batch, 3]\nz = x[:, :10]\noutput z\noutput w = z\n"
        "require cross_entropy(z, y, strength = 2)\nrequire margin(z, y, high = 3)\n"
    )
    text = str(network)
    (loss,) = (op for op in network.body.block.ops if isinstance(op, ops.CrossEntropyOp))
    (margin,) = (op for op in network.body.block.ops if isinstance(op, ops.MarginOp))
    assert loss.strength.value.data == 2
    assert margin.bounds.get_values() == (0, 3)
    assert 'op.target "r" ["batch", "3"]' in text
    assert [op.label.data for op in network.body.block.ops if isinstance(op, ops.OutputOp)] == [
        "z",
        "w",
    ]


# Builtins: the type of each one's result, for a: f32[2, 3], b: f32[3], c: f32[4, 2, 3], v: f32[1, 2],
# t: int[2, 5]

RESULTS = {
    "dot(a, b)": "2",
    "dot(b, b)": "",
    "dot(b, transpose(a))": "2",
    "matmul(c, transpose(a))": "4x2x2",
    "matmul(a, transpose(c, (0, 2, 1)))": "4x2x2",
    "c @ b": "4x2",
    "c @ transpose(c, (0, 2, 1))": "4x2x2",
    "add(a, b)": "2x3",
    "a + b + c": "4x2x3",
    "sum(a, axis = 0)": "3",
    "sum(c, axis = (0, -1))": "2",
    "sum(a, b, c)": "4x2x3",
    "sum([a, a])": "2x3",
    "relu(a)": "2x3",
    "sum_relu(a, b)": "2x3",
    "sum_relu(a, b, axis = 1)": "2",
    "max(c, axis = 1)": "4x3",
    "maximum(a, b)": "2x3",
    "identity(a)": "2x3",
    "quantize(a, levels = (0, 1, 2))": "2x3",
    "min(c, axis = 1)": "4x3",
    "minimum(a, b)": "2x3",
    "mean(c, axis = (0, 2))": "2",
    "mean(c)": "",
    "abs(a)": "2x3",
    "leaky_relu(a, slope = 0.1)": "2x3",
    "clip(a, -1, 1)": "2x3",
    "sign(a)": "2x3",
    "step(a, threshold = 0.5)": "2x3",
    "round(a)": "2x3",
    "piecewise(a, (0, 1), (1, 0, 1), (0, 0, -1))": "2x3",
    "avg_pool(reshape(c, (1, 4, 6, 1)), 2)": "1x2x3x1",
    "a - b": "2x3",
    "2 - c - a + 1": "4x2x3",
    "-c": "4x2x3",
    "0.5 * a": "2x3",
    "b * 3": "3",
    "a / 4": "2x3",
    "a * c": "4x2x3",
    "full((2, 3), 0.5)": "2x3",
    "full(4)": "4",
    "array(((1, 0), (0.5, -1), (2, 3)))": "3x2",
    "array(7)": "",
    "flatten(c)": "4x6",
    "conv2d(reshape(c, (4, 2, 3, 1)), full((3, 3, 1, 5)))": "4x2x3x5",
    "conv2d(reshape(c, (1, 4, 6, 1)), full((3, 2, 1, 5)), strides = 2)": "1x2x3x5",
    "conv2d(reshape(c, (1, 4, 6, 1)), full((3, 2, 1, 5)), strides = (1, 3), padding = VALID)": "1x2x2x5",
    "conv2d(reshape(c, (4, 2, 3, 1)), full((3, 3, 1, 5)), padding = ((1, 0), (2, 2)))": "4x1x5x5",
    "conv2d(reshape(c, (1, 4, 6, 1)), full((2, 3, 1, 5)), dilation = 2, padding = VALID)": "1x2x2x5",
    "conv2d(reshape(c, (1, 4, 2, 3)), full((2, 2, 1, 6)), groups = 3)": "1x4x2x6",
    "max_pool(reshape(c, (1, 4, 6, 1)), 2, 1, dilation = (3, 2))": "1x1x4x1",
    "max_pool(reshape(c, (1, 4, 6, 1)), 2)": "1x2x3x1",
    "max_pool(reshape(c, (1, 4, 6, 1)), (3, 2), strides = 1)": "1x2x5x1",
    "reshape(c, (a.shape[0], -1))": "2x12",
    "reshape(c, -1)": "24",
    "transpose(c)": "3x2x4",
    "transpose(c, (0, -1, 1))": "4x3x2",
    "concat(a, a)": "2x6",
    "concat((a, a), axis = 0)": "4x3",
    "stack(a, a)": "2x2x3",
    "stack([a, a, a], axis = -1)": "2x3x3",
    "broadcast(b, (5,) + a.shape)": "5x2x3",
    "expand(a, -1)": "2x3x1",
    "squeeze(v)": "2",
    "squeeze(v, axis = 0)": "2",
    "pad(a, ((1, 0), (0, 2)))": "3x5",
    "quantize_linear(a, 0.1, -8, 7)": "2x3",
    "gather(a, t)": "2x5x3",
    "embedding(c, t[0])": "5x2x3",
    "c[0]": "2x3",
    "c[-1, :, 1:]": "2x2",
    "c[..., -1]": "4x2",
    "c[::2, ..., 0]": "2x2",
    "c[1:100]": "3x2x3",
}


@pytest.mark.parametrize("expression", RESULTS)
def test_result_types(expression: str) -> None:
    network = compile_(
        "input a: f32[2, 3]\ninput b: f32[3]\ninput c: f32[4, 2, 3]\ninput v: f32[1, 2]\ninput t: int[2, 5]\n"
        f"output z = {expression}\n"
    )
    shape = RESULTS[expression]
    assert output_type(network) == f"tensor<{shape}{'x' if shape else ''}f32>"


def test_every_function_has_a_result_type_test() -> None:
    assert set(FUNCTIONS) == set(re.findall(r"\b([a-z_0-9]+)\(", " ".join(RESULTS)))


@pytest.mark.parametrize(
    "expression",
    ["reshape(x, (2, 3))", "x[:, ...]", "transpose(x, (0, 1))", "concat(x)", "broadcast(x, (2, 3))",
     "pad(x, ((0, 0), (0, 0)))", "squeeze(x)"],
)  # fmt: skip
def test_no_identity_views(expression: str) -> None:
    assert kinds(compile_(f"input x: f32[2, 3]\noutput z = {expression}\n")) == [
        "op.input",
        "op.output",
    ]


# Loops


def test_a_loop_carries_what_it_binds_again_and_collects_the_rest() -> None:
    text = HEAD + BLOCKS + (
        "cell = dense\nh = dense(x, 8)\nfor t in 1..4 {\n  h = relu(dense(h, 8))\n  z, w = out(h, 5), cell(h, 2)\n"  # noqa: E501
        "  one = expand(x[:, 2 * t - 1], 1)\n}\noutput h\noutput z\noutput one\n"
    )  # fmt: skip
    network = compile_(text)
    (loop,) = (op for op in network.body.block.ops if isinstance(op, ForOp))
    assert loop.iterations == 3
    assert [str(value.type) for value in loop.results] == [
        "tensor<64x8xf32>",
        "tensor<3x64x5xf32>",
        "tensor<3x64x1xf32>",
    ]
    assert params(network) == {"dense_0.weight": (64, 8), "out.weight": (8, 5), "cell.weight": (8, 2)}
    inside = [op for op in loop.body.block.ops if isinstance(op, ops.ParameterOp)]
    assert [op.label.data for op in inside] == ["dense_1.weight", "relu_0.bias"]
    (at,) = (op for op in loop.body.block.ops if isinstance(op, AtOp))
    assert at.numbers() == (1, 1, 2)


LOOP_MISTAKES = {
    "for t in 0..2 {\n  h = h[:, 1:]\n}": (
        "'h' is f32[batch=64, 64] before the loop and f32[batch=64, 63] after an iteration"
    ),
    "for t in 0..65 {\n  z = x[:, t]\n}": "the loop reads entries 0 to 64 of axis 1 of f32[batch=64, 64]",
    "for t in 0..2 {\n  z = x[:, t - 1]\n}": (
        "the loop reads entries -1 to 0 of axis 1 of f32[batch=64, 64]"
    ),
    "for t in 0..2 {\n  z = x[t, t]\n}": "one axis of a tensor can follow a loop, found two",
    "for t in 0..2 {\n  z = relu(x)\n  u = z[:, t]\n}": (
        "'t' indexes tensors from above the loop; f32[batch=64, 64] is made in it"
    ),
    "for t in 0..2 {\n  z = x[:, t:]\n}": "the ends of a slice cannot follow a loop",
    "for t in 0..2 {\n  z = x[:, 3 - t]\n}": "'-' takes numbers, found an index that follows 't'",
    "for t in 0..2 {\n  z = x[:, t // 2]\n}": "'// 2' of an index that follows 't' is no index",
    "for t in 0..2 {\n  z = reshape(x, t)\n}": "expected an integer, found an index that follows 't'",
    "for t in 2..2 {\n  z = x\n}": "a loop has 1 to 1,048,576 iterations, found 2..2",
    "for t in 0..2.5 {\n  z = x\n}": "a loop counts integers, found the number 2.5",
    "for t in -1..2 {\n  z = x\n}": "a loop counts from 0 or more, found -1",
    "for x in 0..2 {\n  z = h\n}": "'x' is already declared in line 1",
    "n = 3\nfor t in 0..2 {\n  n = 4\n}": (
        "a loop carries tensors from one iteration to the next, but 'n' is the number 3"
    ),
    "for t in 0..2 {\n  for s in 0..2 {\n    z = x[s, t] + x[t, t]\n  }\n}": (
        "one axis of a tensor can follow a loop, found two"
    ),
    "for t in 0..2 {\n  z = relu(x)\n  for s in 0..2 {\n    g = z[t, s]\n  }\n}": (
        "'t' indexes tensors from above the loop; f32[batch=64, 64] is made in it"
    ),
    "for t in 0..2 {\n  for t in 0..2 {\n    z = h\n  }\n}": "'t' is already declared in line 4",
    "def f(x) {\n  return relu(x)\n}\nfor t in 0..2 {\n  g = f\n  h = g(h)\n}\nh = g(h)": "unknown name 'g'",
    "for t in 0..2 {\n  output h\n}": "'output' belongs outside of loops",
    "for t in 0..2 {\n  z = t\n}": "an index that follows 't' is no value of its own",
}


@pytest.mark.parametrize("text", LOOP_MISTAKES)
def test_mistakes_in_loops(text: str) -> None:
    assert messages(HEAD + "h = x\n" + text + "\noutput h\n") == [LOOP_MISTAKES[text]]


def test_a_loop_leaves_its_name_free() -> None:
    text = "for t in 0..2 {\n  h = relu(x)\n}\nt = h\noutput t\n"
    assert output_type(compile_("input x: f32[2, 3]\n" + text)) == "tensor<2x2x3xf32>"


IMAGE_MISTAKES = {
    "conv2d(x, full((3, 3, 64, 5)))": (
        "conv2d takes a tensor of [batch, height, width, channels], found f32[batch=64, 64]"
    ),
    "conv2d(i, full((3, 3, 2, 5)))": (
        "conv2d takes a weight of [height, width, 1, channels] for f32[batch=64, 8, 8, 1], "
        "found f32[3, 3, 2, 5]"
    ),
    "conv2d(i, full((3, 3, 1, 5)), groups = 2)": (
        "conv2d needs groups that divide the 1 channels of f32[batch=64, 8, 8, 1], found 2"
    ),
    "conv2d(i, full((9, 3, 1, 5)), padding = VALID)": (
        "a window of 9 with stride 1 does not fit axis 1 of f32[batch=64, 8, 8, 1]"
    ),
    "conv2d(i, full((3, 3, 1, 5)), padding = 1)": (
        "pad takes a pair (before, after) for each axis, found the number 1"
    ),
    "conv2d(i, full((3, 3, 1, 5)), strides = 0)": (
        "'strides' must be one or two positive integers, found (0, 0)"
    ),
    "max_pool(i, (2, 2, 2))": "expected one or two positive integers, found a tuple of 3",
    "flatten(x[0])": "flatten joins all axes but the first, and f32[64] has rank 1",
}


@pytest.mark.parametrize("text", IMAGE_MISTAKES)
def test_mistakes_with_images(text: str) -> None:
    head = HEAD + "i = reshape(x, (-1, 8, 8, 1))\n"
    assert messages(f"{head}z = {text}\noutput x\n") == [IMAGE_MISTAKES[text]]


# Locations and hints


def test_ops_carry_their_place_and_label() -> None:
    network = compile_(HEAD + BLOCKS + "h = relu(dense(x, 8))\noutput h\n")
    (matmul,) = (op for op in network.body.block.ops if isinstance(op, ops.DotOp))
    (relu,) = (op for op in network.body.block.ops if isinstance(op, ops.SumReluOp))
    assert matmul.called == "dense_0.matmul"
    place = matmul.location
    assert isinstance(place, FileLineColLoc)
    assert (place.filename.data, place.line.data, place.column.data) == ("m.pjn", 5, 10)
    assert matmul.result.name_hint == "dense_0.matmul"
    assert relu.result.name_hint == "h"


# Constants, dimensions and -D


def test_defines() -> None:
    text = (
        "const width = 4\nconst half = width // 2\ninput x: f32[batch, T, width]\noutput z = x[..., :half]\n"
    )
    network = compile_(text, defines={"width": 6, "T": 5}, batch=3)
    assert output_type(network) == "tensor<3x5x3xf32>"
    assert str(network.dims) == "{batch = 3 : i64, T = 5 : i64, width = 6 : i64}"
    assert output_type(compile_(text, defines={"T": 5})) == "tensor<64x5x2xf32>"
    assert output_type(compile_(text, defines={"T": 5, "batch": 2})) == "tensor<2x5x2xf32>"
    assert errors(text) == (
        "m.pjn:3:21: error[PJC0108]: the dimension 'T' has no size\n"
        "    input x: f32[batch, T, width]\n"
        "                        ^\n"
        "hint: give one with -D T=16 or with a const"
    )
    assert errors(text, defines={"T": 5, "widht": 3}) == (
        "error[PJC0109]: -D widht: the file has no constant or free dimension of this name\n"
        "hint: did you mean 'width'?"
    )
    assert "batch is given twice, as 2 and as 3" in errors(text, defines={"batch": 2}, batch=3)
    assert "a dimension must be a positive integer, found 2.5" in errors(text, defines={"T": 5, "width": 2.5})


def test_parse_define() -> None:
    assert parse_define("hidden=256") == ("hidden", 256)
    assert parse_define("scale = -1e-3") == ("scale", -0.001)
    for wrong in ("hidden", "=3", "a=", "a=b", "a=nan", "a=1e999", "a=" + "9" * 100, "é=1"):
        with pytest.raises(DiagnosticError, match="expected NAME=NUMBER after -D"):
            parse_define(wrong)


# Text


@pytest.mark.parametrize("change", ["\r\n", "\r", "\n\n  # c\n", "\t\n"])
def test_line_ends(change: str) -> None:
    text = HEAD + "h = concat(\n  x,\n\tx)\noutput h\n"
    plain = compile_(text)
    assert str(compile_("\ufeff" + text.replace("\n", change))) == str(plain)


def test_columns_count_characters() -> None:
    assert errors("# é\r\n\tx =\t$\r\n") == (
        "m.pjn:2:6: error[PJC0101]: unexpected character '$'\n     x = $\n         ^"
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "\ufeff"])
def test_empty_files(text: str) -> None:
    assert parse(text, "m.pjn").statements == ()
    assert messages(text) == ["the file has no output"]


def test_show() -> None:
    tree = parse("h = relu(x[..., 1], axis = -2) + 0.5\n", "m.pjn")
    assert ast.show(tree) == (
        "File (1:1)\n"
        "  statements: Assign (1:1)\n"
        "    targets: Name h (1:1)\n"
        "    value: Chain + (1:5)\n"
        "      operands: Call (1:5)\n"
        "        function: Name relu (1:5)\n"
        "        arguments: Argument (1:10)\n"
        "          value: Index (1:10)\n"
        "            base: Name x (1:10)\n"
        "            items: Ellipsis (1:12)\n"
        "            items: Number 1 (1:17)\n"
        "        arguments: Argument axis (1:21)\n"
        "          value: Number -2 (1:28)\n"
        "      operands: Number 0.5 (1:34)"
    )


# Mistakes: the whole text that is printed. Each stands in line 3, after HEAD, before an output.

MISTAKES = {
    "h = relu(x, x)": """\
m.pjn:3:5: error[PJC0114]: relu takes one input, got 2
    h = relu(x, x)
        ^~~~~~~~~~""",
    "h = rellu(x)": """\
m.pjn:3:5: error[PJC0105]: unknown name 'rellu'
    h = rellu(x)
        ^~~~~
hint: did you mean 'relu'?""",
    "h = sum(x, axes = 1)": """\
m.pjn:3:12: error[PJC0114]: sum has no argument 'axes'
    h = sum(x, axes = 1)
               ^~~~~~~~
hint: did you mean 'axis'?""",
    "param w: f32[32, 10] = he_norml": """\
m.pjn:3:24: error[PJC0105]: unknown name 'he_norml'
    param w: f32[32, 10] = he_norml
                           ^~~~~~~~
hint: did you mean 'he_normal'?""",
    "h = x @ transpose(x)[:9]": """\
m.pjn:3:5: error[PJC0202]: '@' needs the last dimension of f32[batch=64, 64] to equal the second to last \
dimension of f32[9, batch=64], found 64 and 9
    h = x @ transpose(x)[:9]
        ^~~~~~~~~~~~~~~~~~~~
hint: transpose the second?""",
    "h = x + he_normal": """\
m.pjn:3:9: error[PJC0112]: '+' takes tensors and numbers here, found the initializer 'he_normal'
    h = x + he_normal
            ^~~~~~~~~""",
    "h = 2 / x": """\
m.pjn:3:5: error[PJC0112]: '/' cannot take the number 2 and a tensor f32[batch=64, 64]
    h = 2 / x
        ^~~~~
hint: '*' takes tensors and numbers, '/' divides a tensor by a number""",
    "h = x / 0": """\
m.pjn:3:5: error[PJC0112]: division by zero
    h = x / 0
        ^~~~~""",
    "h = 0 * x": """\
m.pjn:3:5: error[PJC0112]: a tensor times 0 is no constraint on it
    h = 0 * x
        ^~~~~
hint: full(shape, 0) makes zeros""",
    "h = clip(x, 1, 1)": """\
m.pjn:3:5: error[PJC0207]: clip needs low < high, found low = 1 and high = 1
    h = clip(x, 1, 1)
        ^~~~~~~~~~~~~""",
    "h = piecewise(x, 0, 1, 0)": """\
m.pjn:3:5: error[PJC0207]: piecewise needs a slope and an offset for each of the 2 pieces between 1 edges, found 1 slopes and 1 offsets
    h = piecewise(x, 0, 1, 0)
        ^~~~~~~~~~~~~~~~~~~~~""",  # noqa: E501
    "require squared_error(x, y)": """\
m.pjn:3:26: error[PJC0301]: expected a target of numbers, found class[batch=64, 10]
    require squared_error(x, y)
                             ^
hint: declare it as 'target y: f32[...]'""",
    "require equal(x[:, 0], x)": """\
m.pjn:3:1: error[PJC0301]: equal compares f32[batch=64] with the target 'x' of f32[batch=64, 64]; their dimensions differ
    require equal(x[:, 0], x)
    ^~~~~~~~~~~~~~~~~~~~~~~~~""",  # noqa: E501
    "input u: f23[3]": """\
m.pjn:3:10: error[PJC0107]: unknown element type 'f23'
    input u: f23[3]
             ^~~
hint: did you mean 'f32'?""",
    "require cross_entropi(x, y)": """\
m.pjn:3:9: error[PJC0118]: unknown loss 'cross_entropi'
    require cross_entropi(x, y)
            ^~~~~~~~~~~~~
hint: did you mean 'cross_entropy'?""",
    "require cross_entropy(x, y)": """\
m.pjn:3:1: error[PJC0301]: cross_entropy compares logits f32[batch=64, 64] with the target 'y' of \
class[batch=64, 10]; their dimensions differ
    require cross_entropy(x, y)
    ^~~~~~~~~~~~~~~~~~~~~~~~~~~
hint: the last dimension must be the number of classes, 10""",
    "h = x + y": """\
m.pjn:3:9: error[PJC0112]: '+' takes tensors and numbers here, found the target 'y'
    h = x + y
            ^""",
    "h = x[::-1]": """\
m.pjn:3:5: error[PJC0115]: the step of a slice must be positive, found -1
    h = x[::-1]
        ^~~~~~~""",
    "relu = x": """\
m.pjn:3:1: error[PJC0106]: 'relu' is a builtin function
    relu = x
    ^~~~
hint: choose another name""",
    "def f(a) { return f(a) }": """\
m.pjn:3:19: error[PJC0105]: 'f' calls itself; blocks cannot be recursive
    def f(a) { return f(a) }
                      ^""",
    "def f(a) { return x }": """\
m.pjn:3:19: error[PJC0105]: 'x' belongs to the file; a block sees only its arguments
    def f(a) { return x }
                      ^
hint: pass it to 'f' as an argument""",
    "a, b = (x, x, x)": """\
m.pjn:3:8: error[PJC0113]: 2 names need a tuple of 2, found a tuple of 3
    a, b = (x, x, x)
           ^~~~~~~~~""",
    "relu(x)": """\
m.pjn:3:1: error[PJC0113]: nothing uses the value of this expression
    relu(x)
    ^~~~~~~
hint: write 'name = ...'""",
    "const c = 1 / 0": """\
m.pjn:3:11: error[PJC0112]: division by zero
    const c = 1 / 0
              ^~~~~""",
    "param w: f32[3] = 0.5": """\
m.pjn:3:19: error[PJC0110]: expected an initializer, found the number 0.5
    param w: f32[3] = 0.5
                      ^~~
hint: write constant(0.5)""",
    "input x: f32[3]": """\
m.pjn:3:7: error[PJC0106]: 'x' is already declared in line 1
    input x: f32[3]
          ^
hint: choose another name""",
    "h = quantize(x, levels = (1, 0))": """\
m.pjn:3:17: error[PJC0114]: 'levels' must be strictly increasing numbers, found (1, 0)
    h = quantize(x, levels = (1, 0))
                    ^~~~~~~~~~~~~~~""",
    # syntax
    "ouput x": """\
m.pjn:3:1: error[PJC0102]: unknown statement 'ouput'
    ouput x
    ^~~~~
hint: did you mean 'output'?""",
    "h = relu(x": """\
m.pjn:3:9: error[PJC0101]: '(' is never closed
    h = relu(x
            ^
hint: add a ')'""",
    "h = relu(x x)": """\
m.pjn:3:12: error[PJC0102]: expected '=', ',' or ')', found 'x'
    h = relu(x x)
               ^""",
    "h = relu(x) x": """\
m.pjn:3:13: error[PJC0102]: expected the end of the line or ',', found 'x'
    h = relu(x) x
                ^""",
    "for t in x": """\
m.pjn:3:11: error[PJC0102]: expected '..', found the end of the line
    for t in x
              ^
hint: the '{' of a block stands at the end of its first line""",
    "param w: f32[3]": """\
m.pjn:3:16: error[PJC0102]: expected '=', found the end of the line
    param w: f32[3]
                   ^
hint: a parameter needs an initializer, like '= he_normal'""",
    "h = 'x'": """\
m.pjn:3:5: error[PJC0101]: unexpected character '''
    h = 'x'
        ^
hint: the language has no strings""",
    "h = (x]": """\
m.pjn:3:7: error[PJC0101]: expected ')' to close the '(' of line 3, found ']'
    h = (x]
          ^""",
    "def f(a) {\n  return a": """\
m.pjn:3:10: error[PJC0101]: '{' is never closed
    def f(a) {
             ^
hint: add a '}'""",
    "const c = 9999999999999999999": """\
m.pjn:3:11: error[PJC0103]: this number has 19 digits, at most 18 are allowed
    const c = 9999999999999999999
              ^~~~~~~~~~~~~~~~~~~""",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes(line: str) -> None:
    assert errors(HEAD + line + "\noutput x\n") == (MISTAKES[line])


def test_all_mistakes_are_reported_at_once_and_none_twice() -> None:
    text = HEAD + BLOCKS + (
        "a = relu(nope)\nb = dense(a, 3)\nc = b + a + x[70]\nparam w: f64[hiden] = zeros\n"
        "d = dense(x)\ne = reshape(d, 3)\nf = dense(x, 0)\ndef g(u) { return u @ missing }\n"
        "output e\nrequire margin(c, x)\n"
    )  # fmt: skip
    assert messages(text) == [
        "a dimension must be a positive integer, found 0",
        "unknown name 'nope'",
        "index 70 is out of range for axis 0 of f32[batch=64, 64]",
        "unknown element type 'f64'",
        "unknown name 'hiden'",
        "dense needs the argument 'width'",
        "unknown name 'missing'",
    ]


def test_syntax_errors_are_all_reported() -> None:
    text = "h = = 3\ndef f(x {\n  return x\n}\ng = )\nk = concat(\n  a,\n  b\nouput h\nz = 3\n"
    assert messages(text) == [
        "expected an expression, found '='",
        "'(' is never closed",
        "nothing is open that ')' could close",
        "'(' is never closed",
        "unknown statement 'ouput'",
    ]


def test_an_error_in_a_block_says_which_call() -> None:
    text = HEAD + "def f(z) {\n  return z @ z\n}\na = f(x)\nb = f(transpose(x)[:9])\noutput a\n"
    assert errors(text) == (
        "m.pjn:4:10: error[PJC0202]: '@' needs the last dimension of f32[9, batch=64] to equal the second to "
        "last dimension of f32[9, batch=64], found 64 and 9\n"
        "      return z @ z\n"
        "             ^~~~~\n"
        "hint: transpose the second?; in f_1, called in line 7"
    )


def test_a_block_with_a_loop_is_called_in_a_loop() -> None:
    text = (
        "def deep(h, n) {\n  for t in 0..n {\n    param w: f32[64] = zeros\n    h = relu(h + w)\n  }\n"
        "  return h\n}\nboth = deep\nh = x\nfor s in 0..2 {\n  h = both(deep(h, 3), 4)\n}\noutput h\n"
    )
    network = compile_(HEAD + text)
    params = {
        op.label.data: op.result.type.get_shape() for op in network.walk() if isinstance(op, ops.ParameterOp)
    }
    assert params == {"both.w": (4, 64), "deep_0.w": (64,)}  # shared by the iterations of s, and each its own
    assert "'both.w' is shared, but this call needs it as" in errors(
        HEAD + text.replace("deep(h, 3)", "both(h, 3)")
    )
