"""Mutated .pjn files give a module that verifies or a diagnostic: no other exception, no hang."""

from __future__ import annotations

import random
import re
import time

import pytest
from fuzz.mutate import edit

from pjc.diagnostics import DiagnosticError
from pjc.frontends import ast
from pjc.frontends.elaborate import elaborate
from pjc.frontends.pjn import parse

PROGRAMS = [
    "input x: f32[batch, 4]\ntarget y: f32[batch, 3]\nparam w: f32[4, 3] = normal(1)\n"
    "require w in levels(-1, 0, 1)\nh = clip(2 * (x @ w) - 1, 0, 1)\nrequire h[0] in sparse(2, axis = 0)\n"
    "output z = abs(h - mean(h)) * sign(h, 0.5)\nrequire squared_error(z, y)\n",
    """\
# mlp
const hidden = 12
input x: f32[batch, 6]
target y: class[batch, 3]
def dense(x, width, scale = 1.0) {
  param weight: f32[x.shape[-1], width] = scale * he_normal
  return x @ weight
}
def relu(x) {
  param bias: f32[x.shape[-1]] = uniform(-0.1, 0.1)
  return sum_relu(bias, x)
}
out = dense
h0 = relu(dense(x, hidden, 0.1))
h1 = relu(dense(h0, hidden // 2))
logits = out(concat(h0, h1), 3, scale = 10)
output logits
require cross_entropy(logits, y, strength = 2)
""",
    """\
input image: f32[batch, 4, 6]
target label: class[batch, 5]
def mix(a, b, levels = (-1, 1)) {
  s, d = (a + b, maximum(a, b))
  return quantize(s, levels = levels), identity(d)
}
def project(x, n) {
  param w: f32[x.shape[-1], n] = 0.5 * glorot_uniform
  param b: f32[n] = constant(0.25)
  return x @ w + b
}
def twice(x) {
  layer = project
  return layer(x, x.shape[-1]) + x
}
left, right = mix(image[:, 0], image[..., 1, :])
both = stack([left, right], axis = 1)
flat = reshape(both, (batch, -1))
p = pad(flat[:, ::2], ((0, 0), (1, 1)))
logits = project(max(expand(twice(transpose(p, (0, 1))), 1), axis = 1), 5)
output logits
output features = squeeze(sum(both, axis = 2)[:, :1])
require margin(logits, label, low = 0, high = 1)
""",
    """\
use nn
input tokens: int[batch, 4]
target y: class[batch, 4, 5]
e = nn.embed(tokens[:, :], 5, 6)
layer = nn.attention_block
z = nn.readout(layer(e, 2, 4, 8), 5)
output z
require cross_entropy(z, y)
""",
    "input x: f32[batch, 3]\nz = broadcast(relu(x), (2, batch, 3))\noutput z\n",
]
WORDS = re.findall(
    r"\S+|\n|\t",
    "use nn . int const input target param def return output require for in x y hidden batch \n"
    " relu sum dense f32 class "
    "zeros normal he_normal shape ( ) [ ] { } , : = . ... + - * / // @ # ' é \\ \x00 \t",
)
NUMBERS = re.findall(r"\S+", "0 1 -1 2.5 1e9 1e308 1e999 99999999 999999999999999999 9999999999999999999")
TOKEN = re.compile(r"\w+|\s|//|\.\.\.|.", re.DOTALL)


def mutate(text: str, rng: random.Random) -> str:
    """Return the program after a few random edits of characters or tokens."""
    pieces = TOKEN.findall(text) if rng.random() < 0.75 else list(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        i, j = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(8):
            case 0 | 1 | 2 | 3 | 4 as kind:
                edit(pieces, kind, (i, j), WORDS + NUMBERS, rng)
            case 5:
                number = rng.choice(NUMBERS)
                pieces = [number if piece.isdigit() and rng.random() < 0.1 else piece for piece in pieces]
            case 6:
                pieces[i:j] = pieces[i:j] * rng.choice((0, 2, 2, 30))
            case 7 if rng.random() < 0.3:
                pieces = pieces[: max(1, i)]
    return "".join(pieces)[:20_000]


def outcome(text: str) -> str:
    """Compile the text; return what became of it. Anything but a diagnostic is raised."""
    try:
        tree = parse(text, "fuzz.pjn")
        ast.show(tree)
        module = elaborate(tree, name="fuzz").module
    except DiagnosticError as error:
        assert error.diagnostics
        assert str(error)
        return "diagnostic"
    module.verify()
    return "module"


@pytest.mark.slow
def test_mutated_programs() -> None:
    rng = random.Random(7)
    counts = {"module": 0, "diagnostic": 0}
    for _ in range(2000):
        text = mutate(rng.choice(PROGRAMS), rng)
        start = time.process_time()
        try:
            counts[outcome(text)] += 1
        except Exception as error:
            raise AssertionError(f"{error!r} on:\n{text}") from error
        assert time.process_time() - start < 5, text
    assert min(counts.values()) > 200, counts


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_themselves_compile(program: str) -> None:
    assert outcome(program) == "module"


HOSTILE = {
    "deep parentheses": "input x: f32[2]\nh = " + "(" * 5000 + "x" + ")" * 5000 + "\noutput h",
    "deep brackets over lines": "h = " + "[\n" * 5000,
    "deep unary": "input x: f32[2]\nh = " + "-" * 5000 + "x\noutput h",
    "deep index": "input x: f32[2]\nh = x" + "[0]" * 5000 + "\noutput h",
    "deep call": "h = " + "relu(" * 5000,
    "deep blocks": "def f(x) {\n" * 5000,
    "closing brackets": ")]}" * 5000,
    "long sum": "input x: f32[2]\nh = x" + " + x" * 5000 + "\noutput h",
    "long product": "const c = 1" + " * 2" * 5000 + "\n",
    "long digits": "const c = " + "9" * 100_000,
    "long name": "x" * 100_000 + " = 3\n" + "y" * 100_000,
    "many errors": "a b c\n" * 5000,
    "many mistakes": "a = nope\n" * 5000,
    "many brackets": "h = (a\n" * 5000,
    "huge tensor": "input x: f32[999999999999999999, 999999999999999999]\noutput x",
    "huge numbers": "const a = 999999999999999999 * 999999999999999999 * 999999999999999999\n",
    "growing blocks": "def f0(x) { return relu(x) }\n"
    + "".join(f"def f{i}(x) {{ return f{i - 1}(f{i - 1}(x)) }}\n" for i in range(1, 20))
    + "input x: f32[2]\ny = f19(x)\noutput y",
    "growing blocks without ops": "def f0(x) { return x }\n"
    + "".join(f"def f{i}(x) {{ return f{i - 1}(f{i - 1}(x)) }}\n" for i in range(1, 30))
    + "input x: f32[2]\ny = f29(x)\noutput y",
    "deep chain of blocks": "def f0(x) { return x }\n"
    + "".join(f"def f{i}(x) {{ return f{i - 1}(x) }}\n" for i in range(1, 500))
    + "input x: f32[2]\ny = f499(x)\noutput y",
    "growing tuples": "a = (1, 1)\n" + "a = (a, a)\n" * 60 + "a = a + a\n" * 60,
    "growing initializer": "a = 1e300 * zeros\n" + "a = 1e300 * a\n" * 3,
    "growing tensors": "input x: f32[2]\n" + "x = concat(x, x)\n" * 60 + "output x",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_soon(name: str) -> None:
    start = time.process_time()
    assert outcome(HOSTILE[name]) == ("module" if name == "long sum" else "diagnostic")
    assert time.process_time() - start < 10
