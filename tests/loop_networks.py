"""Loops whose steps read, carry and share values through views: each is to equal its steps one by one."""

from __future__ import annotations

from sweep_networks import HEAD, LOSS

X = "input x: f32[batch, 4, 3]" + HEAD


def _of(body: str, read: str = "h") -> str:
    return f"{X}{body}output logits = dense({read}, 3){LOSS}"


LOOPS: dict[str, str] = {
    "a state of two values": _of(
        """
h = concat(relu(dense(x[:, 0], 2)), dense(x[:, 1], 2))
for t in 0..4 {
  s = cell(concat(x[:, t], h), 4)
  h = concat(relu(s[:, 0:1]), abs(s[:, 1:4]))
}
"""
    ),
    "a start that is a parameter": _of(
        """
param z: f32[batch, 4] = normal(1)
h = z
for t in 0..4 { h = relu(cell(concat(x[:, t], h), 4)) }
"""
    ),
    "a start that is read alone": _of(
        """
h = full((batch, 4), 0)
for t in 0..4 { h = relu(cell(x[:, t], 4) + out(h, 4)) }
"""
    ),
    "a start that samples share": _of(
        """
param start: f32[4] = normal(1)
h = start + full((batch, 4), 0.5)
for t in 0..4 { h = relu(biased(cell(x[:, t], 4) + out(h, 4))) }
"""
    ),
    "a loop that no data change": _of(
        """
h = full((batch, 4), 0.5)
for t in 0..4 { h = relu(cell(h, 4)) }
""",
        "concat(h, x[:, 0])",
    ),
    "gates that read a start alone": _of(
        """
h = full((batch, 4), 0.2)
c = full((batch, 4), 0.3)
for t in 0..4 {
  s = cell(x[:, t], 12) + out(h, 12)
  c = relu(s[:, 0:4]) * c + relu(s[:, 4:8])
  h = relu(s[:, 8:12]) * c
}
"""
    ),
    "a set on one state that no data change": _of(
        """
h = full((batch, 4), 0.5)
for t in 0..4 {
  h = relu(cell(h, 4))
  z = h
}
require z[1] in box(-0.1, 0.1)
""",
        "concat(h, x[:, 0])",
    ),
    "a set on what a start alone gives": _of(
        """
h = full((batch, 4), 0.2)
for t in 0..4 {
  s = out(h, 4)
  require s in ball(0.1, axis = 1)
  h = relu(cell(x[:, t], 4) + s)
}
"""
    ),
    "a start in pieces": _of(
        """
m = full((batch, 3, 4), 0.3)
for t in 0..4 { m = relu(out(m, 4)) + reshape(x[:, t], (batch, 3, 1)) }
""",
        "flatten(m)",
    ),
    "an operation that no step changes": _of(
        """
c = dense(x[:, 1], 4)
h = dense(x[:, 0], 4)
for t in 0..3 { h = relu(cell(c, 4)) * 0.5 + relu(dense(h, 4)) }
"""
    ),
    "a value of all steps in a column": _of(
        """
c = dense(x[:, 0], 1)
e = dense(x, 1)
h = dense(x[:, 1], 4)
for t in 0..4 { h = relu(cell(h, 4)) * c * e[:, t] }
"""
    ),
    "two values of all steps": _of(
        """
c = concat(relu(dense(x[:, 0], 2)), abs(dense(x[:, 1], 3)))
h = full((batch, 4), 0.5)
for t in 0..4 { h = relu(cell(concat(c, x[:, t], h), 4)) }
"""
    ),
    "a first layer that reads its input twice": _of(
        """
h = relu(dense(x[:, 0], 4))
first = h
for layer in 0..5 {
  param w: f32[8, 4] = he_normal
  h = relu(concat(first, h) @ w) + h
  all = h
}
""",
        "concat(h, all[1], first)",
    ),
    "states of another loop": _of(
        """
h = full((batch, 4), 0)
for t in 0..3 {
  h = relu(cell(concat(x[:, t], h), 4))
  z = h
}
rows = (batch, 1, 4)
zs = concat(reshape(z[0], rows), reshape(z[1], rows), reshape(z[2], rows), axis = 1)
g = full((batch, 4), 0.3)
for t in 0..2 {
  s = zs * reshape(dense(x[:, t], 4), rows)
  g = relu(out(concat(flatten(s), g), 4))
}
""",
        "g",
    ),
    "all states of a loop of as many steps": _of(
        """
h = full((batch, 4), 0)
for t in 0..3 {
  s = cell(concat(x[:, t], h), 4)
  h = concat(relu(s[:, 0:2]), abs(s[:, 2:4]))
  z = h
}
rows = (batch, 1, 4)
zs = concat(reshape(z[0], rows), reshape(z[1], rows), reshape(z[2], rows), axis = 1)
g = full((batch, 4), 0.3)
for t in 0..3 {
  scores = zs @ reshape(dense(concat(x[:, t], g), 4), (batch, 4, 1))
  g = relu(out(concat(x[:, t], flatten(transpose(zs, (0, 2, 1)) @ scores)), 4))
}
""",
        "g",
    ),
    "two loops of as many steps": _of(
        """
h = dense(x[:, 0], 4)
for t in 0..4 {
  s = cell(concat(x[:, t], h), 4)
  h = concat(relu(s[:, 0:2]), abs(s[:, 2:4]))
  z = h
}
g = full((batch, 4), 0.3)
for t in 0..4 { g = relu(out(concat(z[t], g), 4)) }
""",
        "g",
    ),
    "two steps of a value at each": _of(
        """
c = relu(dense(x, 5))
h = full((batch, 4), 0.5)
for t in 0..3 { h = relu(cell(concat(c[:, t], c[:, t + 1], h), 4)) }
"""
    ),
    "columns of a value": _of(
        """
z = dense(x[:, 0], 9)
h = z[:, 2:6]
for t in 0..4 { h = relu(cell(concat(x[:, t], h), 4)) }
""",
        "concat(h, z)",
    ),
    "steps of two values": _of(
        """
a = relu(dense(x, 3))
b = relu(dense(x[:, 0], 3))
c = concat(reshape(b, (batch, 1, 3)), a[:, 0:3], axis = 1)
h = full((batch, 4), 0)
for t in 0..4 { h = relu(cell(concat(c[:, t], h), 4)) }
"""
    ),
    "weights that data give": _of(
        """
w = reshape(concat(dense(x[:, 0], 8), abs(dense(x[:, 1], 8))), (batch, 4, 4))
h = reshape(dense(x[:, 1], 4), (batch, 1, 4))
for t in 0..4 { h = relu(h @ w) }
""",
        "reshape(h, (batch, 4))",
    ),
    "gates": _of(
        """
h = full((batch, 4), 0)
c = full((batch, 4), 0)
for t in 0..4 {
  s = cell(concat(x[:, t], h), 12)
  c = relu(s[:, 0:4]) * c + relu(s[:, 4:8])
  h = relu(s[:, 8:12]) * c
}
"""
    ),
    "a delay of two steps": _of(
        """
h = full((batch, 3), 0)
g = full((batch, 3), 1)
for t in 0..4 {
  s = cell(concat(x[:, t], h, g), 4)
  g = h
  h = x[:, t]
}
""",
        "concat(sum(s, axis = 0), h, g)",
    ),
    "a parameter that is carried as it is": _of(
        """
h = full((batch, 4), 0.5)
for t in 0..4 {
  s = relu(cell(concat(x[:, t], h), 4))
  param u: f32[batch, 4] = normal(1)
  h = u
}
""",
        "concat(sum(s, axis = 0), h)",
    ),
    "states that change places": _of(
        """
param p: f32[batch, 4] = normal(1)
h = p
g = dense(x[:, 1], 4)
for t in 0..4 {
  b = h
  h = g
  g = relu(cell(concat(x[:, t], b), 4))
}
""",
        "concat(h, g)",
    ),
}
"""By name."""
