"""Networks on which sweeps are tested: every kind of structure that a sweep goes through."""

from __future__ import annotations

HEAD = """
target y: class[batch, 3]
def dense(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}
def biased(x) {
  param bias: f32[x.shape[-1]] = normal(0.3)
  return x + bias
}
cell = dense
out = dense
"""
LOSS = "\nrequire cross_entropy(logits, y)\n"

NETWORKS: dict[str, str] = {
    "constants": "input x: f32[batch, 4]"
    + HEAD
    + """
h = dense(x, 4) * array((1, -0.5, 0, 2)) + array((0.5, 0, 1, -1))
g = relu(biased(dense(h @ array(((1, 0, 2), (0, 1, 1), (-1, 0.5, 0), (2, 0, 1))), 3)))
param w: f32[2, 3] = normal(1)
mixed = array(((1, 2), (0.5, -1), (3, 0))) @ w
output logits = dense(g @ mixed, 3)"""
    + LOSS,
    "steps of a loop that one of fewer reads": "input x: f32[batch, 4, 3]"
    + HEAD
    + """
h = dense(x[:, 0], 4)
param steps: f32[4, 4] = normal(0.5)
for t in 0..4 {
  before = h
  h = relu(cell(concat(x[:, t], h), 4) + steps[t])
}
g = full((batch, 4), 0.3)
for t in 0..2 {
  g = relu(out(concat(before[2 * t], g), 4) + before[t + 1] * steps[t])
}
output logits = dense(g, 3)"""
    + LOSS,
    "constants of steps": "input x: f32[batch, 4]"
    + HEAD
    + """
steps = array(((1, 0.5, 2, 1), (0.5, 1, 0, 1), (2, 1, 1, 0.25)))
h = x
for t in 0..3 {
  h = relu(cell(h, 4)) * steps[t] + array((0.5, 1, 1.5))[t]
  for layer in 0..2 {
    param own: f32[4] = normal(1)
    h = h * array((1, 0.5, 1, 1)) + own * steps[layer]
  }
}
output logits = dense(h, 3)"""
    + LOSS,
    "skips": "input x: f32[batch, 5]"
    + HEAD
    + """
a = relu(biased(dense(x, 6)))
b = a + relu(biased(dense(a, 6)))
output logits = dense(concat(a, b, x), 3)"""
    + LOSS,
    "convolution": "input x: f32[batch, 6, 6, 2]"
    + HEAD
    + """
param kernel: f32[3, 3, 2, 4] = he_normal
param second: f32[2, 2, 4, 3] = he_normal
h = max_pool(relu(biased(conv2d(x, kernel))), 2)
g = relu(conv2d(h, second, strides = 2, padding = VALID))
output logits = dense(flatten(g), 3)"""
    + LOSS,
    "recurrent": "input x: f32[batch, 4, 3]"
    + HEAD
    + """
h = full((batch, 5), 0)
for t in 0..4 {
  h = relu(biased(cell(concat(x[:, t], h), 5)))
  z = h
}
output logits = dense(concat(h, z[1]), 3)"""
    + LOSS,
    "two carried": "input x: f32[batch, 5, 3]"
    + HEAD
    + """
h = full((batch, 4), 0.5)
g = dense(x[:, 0], 4)
for t in 0..5 {
  before = h
  h = relu(biased(cell(concat(x[:, t], g), 4)))
  g = before + h
}
output logits = dense(g, 3)"""
    + LOSS,
    "nested": "input x: f32[batch, 3, 4]"
    + HEAD
    + """
h = full((batch, 4), 0)
for t in 0..3 {
  a = concat(x[:, t], h)
  b = dense(a, 4)
  for layer in 0..2 {
    param own: f32[4, 4] = he_normal
    b = relu(b @ own)
  }
  h = b
}
output logits = dense(h, 3)"""
    + LOSS,
    "deep": "input x: f32[batch, 4]"
    + HEAD
    + """
h = x
for layer in 0..6 {
  h = relu(biased(dense(h, 4)))
}
output logits = out(h, 3)"""
    + LOSS,
    "context": "input x: f32[batch, 4, 3]"
    + HEAD
    + """
c = dense(x[:, 0], 4)
h = full((batch, 4), 0)
for t in 0..4 {
  h = relu(cell(concat(x[:, t], h), 4)) + c
}
output logits = dense(h, 3)"""
    + LOSS,
    "attention": "input x: f32[batch, 4, 3]"
    + HEAD
    + """
q = dense(x, 4)
k = dense(x, 4)
v = dense(x, 4)
scores = relu(q @ transpose(k, (0, 2, 1)))
output logits = out(flatten(scores @ v), 3)"""
    + LOSS,
    "embedding": "input tokens: int[batch, 4]"
    + HEAD
    + """
param table: f32[7, 3] = normal(1)
h = embedding(table, tokens)
output logits = dense(flatten(relu(h)), 3)"""
    + LOSS,
    "products": "input x: f32[batch, 4]"
    + HEAD
    + """
a = dense(x, 5)
b = dense(x, 5)
param scale: f32[5] = normal(1)
output logits = dense(a * b * scale + minimum(a, b), 3)"""
    + LOSS,
    "functions of parameters": "input x: f32[batch, 4]"
    + HEAD
    + """
param u: f32[4, 2] = normal(1)
param v: f32[2, 5] = normal(1)
w = abs(u @ v)
output logits = dense(relu(x @ w), 3)"""
    + LOSS,
}
"""By name. None has jumps, so that a sweep finds what a derivative would as values weigh less and less."""
