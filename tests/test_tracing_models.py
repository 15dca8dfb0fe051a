"""Functions of plain JAX, as their users write them: the network computes what the function does."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.nn import relu

from pjc import f32, i32
from tests.tracing import Case, Cases, check

case = Cases()

# Products


@case(f32["batch", 5], w=(5, 7), b=(7,), v=(7, 3))
def mlp(p, x):
    return relu(x @ p["w"] + p["b"]) @ p["v"]


@case(f32["batch", 5], layers=[{"w": (5, 6), "b": (6,)}, {"w": (6, 6), "b": (6,)}, {"w": (6, 2), "b": (2,)}])
def list_of_layers(p, x):
    *hidden, last = p["layers"]
    for layer in hidden:
        x = jax.nn.relu(jnp.dot(x, layer["w"]) + layer["b"])
    return jnp.dot(x, last["w"]) + last["b"]


@case(f32["batch", 4], w=(6, 4))
def weights_first(p, x):
    return (p["w"] @ x.T).T


@case(f32["batch", 4], w=(6, 4), b=(6,), v=(2, 6))
def vmap_weights_first(p, x):
    def one(sample):
        return p["v"] @ relu(p["w"] @ sample + p["b"])

    return jax.vmap(one)(x)


@case(f32["batch", 3, 4], w=(6, 4), b=(6,))
def vmap_nested(p, x):
    return jax.vmap(jax.vmap(lambda sample: relu(p["w"] @ sample + p["b"])))(x)


@case(f32["batch", 4], w=(3, 6, 4), b=(3, 6))
def vmap_over_weights(p, x):
    return jax.vmap(lambda w, b: relu(x @ w.T + b))(p["w"], p["b"])


@case(f32["batch", 4], w=(3, 6, 4), v=(3, 6))
def vmap_over_both(p, x):
    heads = jax.vmap(lambda w, v, sample: v @ relu(w @ sample), in_axes=(0, 0, None))
    return jax.vmap(heads, in_axes=(None, None, 0))(p["w"], p["v"], x)


@case(f32["batch", 4], w=(4, 4))
def vmap_out_axes(p, x):
    return jax.vmap(lambda sample: p["w"] @ sample, out_axes=1)(x)


@case(f32["batch", 4], w=(4, 4))
def reshape_of_other_axes(p, x):
    return x @ lax.reshape(p["w"], (4, 4), (1, 0))


def convolved(x, w):
    return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


@case(f32["batch", 4, 2], w=(3, 4, 2, 2))
def vmap_convolution_over_weights(p, x):
    return jax.vmap(lambda w: convolved(x, w), out_axes=1)(p["w"])


@case(f32["batch", 4, 2, 3], w=(4, 2, 2))
def vmap_convolution_over_data(p, x):
    return jax.vmap(lambda rows: convolved(rows, p["w"]), in_axes=3, out_axes=2)(x)


@case(f32["batch", 3, 4, 2], w=(3, 4, 2, 2))
def vmap_convolution_over_both(p, x):
    return jax.vmap(convolved, in_axes=(1, 0), out_axes=1)(x, p["w"])


@case(f32["batch", 4], w=(4, 4))
def first_power(p, x):
    return (x @ p["w"]) ** 1


@case(f32["batch", 4], w=(4,))
def matmul_vector(p, x):
    return x @ p["w"]


@case(f32["batch", 4], w=(4,))
def vmap_inner_product(p, x):
    return jax.vmap(lambda sample: jnp.dot(p["w"], sample))(x)


@case(f32["batch", 2, 3, 4], w=(4, 5))
def matmul_rank_4(p, x):
    return x @ p["w"]


@case(f32["batch", 3, 4], w=(4, 5), v=(2, 3))
def matmul_both_sides(p, x):
    return p["v"] @ (x @ p["w"])


@case(f32["batch", 2, 3, 4], w=(2, 4, 5))
def matmul_batched_weights(p, x):
    return x @ p["w"]


@case(f32["batch", 3, 4], f32["batch", 4, 5])
def matmul_two_inputs(p, x, z):
    return jnp.matmul(x, z)


@case(f32["batch", 4], f32["batch", 4])
def inner_of_rows(p, x, z):
    return jnp.sum(x * z, axis=-1)


@case(f32["batch", 3, 4], w=(4, 5))
def tensordot(p, x):
    return jnp.tensordot(x, p["w"], axes=1)


@case(f32["batch", 3, 4], w=(5, 3, 4))
def tensordot_two_axes(p, x):
    return jnp.tensordot(x, p["w"], axes=((1, 2), (1, 2)))


@case(f32["batch", 4], f32["batch", 3])
def outer_of_rows(p, x, z):
    return jax.vmap(jnp.outer)(x, z)


EINSUMS = [
    ("bi,io->bo", ("batch", 4), (4, 5)),
    ("oi,bi->bo", None, None),
    ("bi,oi->ob", ("batch", 4), (5, 4)),
    ("btd,dhk->bthk", ("batch", 3, 4), (4, 2, 5)),
    ("btd,hdk->bhtk", ("batch", 3, 4), (2, 4, 5)),
    ("bthk,hkd->btd", ("batch", 3, 2, 4), (2, 4, 5)),
    ("bhtk,hkd->btd", ("batch", 2, 3, 4), (2, 4, 5)),
    ("btd,td->bt", ("batch", 3, 4), (3, 4)),
    ("btd,td->bd", ("batch", 3, 4), (3, 4)),
    ("btd,t->bd", ("batch", 3, 4), (3,)),
    ("bd,t->btd", ("batch", 4), (3,)),
    ("bij,jk->bki", ("batch", 3, 4), (4, 5)),
    ("...d,dk->...k", ("batch", 3, 4), (4, 5)),
    ("bxyc,xyck->bk", ("batch", 3, 2, 4), (3, 2, 4, 5)),
    ("bgi,gio->bgo", ("batch", 2, 4), (2, 4, 3)),
    ("bij->bji", ("batch", 3, 4), None),
    ("bij->bi", ("batch", 3, 4), None),
    ("bii->bi", ("batch", 3, 3), None),
    ("bii->b", ("batch", 3, 3), None),
]


@pytest.mark.parametrize(
    ("form", "of", "weight"), [each for each in EINSUMS if each[1]], ids=lambda e: str(e)
)
def test_einsum(form: str, of: Any, weight: Any) -> None:
    def einsum(p, x):
        return jnp.einsum(form, x, *p)

    check(Case("einsum", einsum, [weight] if weight else [], (f32[of],)))


@case(f32["batch", 4], w=(5, 4))
def einsum_weights_first(p, x):
    return jnp.einsum("oi,bi->bo", p["w"], x)


@case(f32["batch", 3, 4], q=(4, 2, 3), k=(4, 2, 3), v=(4, 2, 3), o=(2, 3, 4))
def attention(p, x):
    q, k, v = (jnp.einsum("btd,dhk->bthk", x, p[name]) for name in "qkv")
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(3)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", relu(scores) / x.shape[1], v)
    return x + jnp.einsum("bqhd,hdm->bqm", mixed, p["o"])


@case(f32["batch", 4, 6], q=(6, 6), k=(6, 6), v=(6, 6), o=(6, 6))
def causal_attention(p, x):
    b, t, d = x.shape

    def split(z):
        return z.reshape(b, t, 2, d // 2).transpose(0, 2, 1, 3)

    q, k, v = (split(x @ p[name]) for name in "qkv")
    scores = q @ jnp.swapaxes(k, -1, -2)
    mask = jnp.tril(jnp.ones((t, t), bool))
    weights = jnp.where(mask, relu(scores), 0.0) / t
    return (weights @ v).transpose(0, 2, 1, 3).reshape(b, t, d) @ p["o"]


@case(f32["batch", 2, 5, 4], w=(4, 4))
def vmap_attention(p, x):
    def one(q, k):
        return relu(q @ k.T / 5) @ k

    return jax.vmap(jax.vmap(one))(x @ p["w"], x)


# Broadcasts


@case(f32["batch", 3, 4], a=(4,), b=(3, 1), c=(1, 3, 4), d=(), e=(1,))
def broadcasts(p, x):
    return (x + p["a"]) * p["b"] + p["c"] - p["d"] + p["e"]


@case(f32["batch", 4], f32["batch", 1])
def broadcast_column(p, x, z):
    return x * z + z


@case(f32["batch", 3], f32["batch", 4])
def broadcast_none(p, x, z):
    return x[:, :, None] + z[:, None, :]


@case(f32["batch", 3], f32["batch", 4])
def broadcast_maximum(p, x, z):
    return jnp.maximum(x[:, :, None], z[:, None, :])


@case(f32["batch", 4], b=(4,))
def broadcast_to(p, x):
    return jnp.broadcast_to(x[:, None], (x.shape[0], 3, 4)) + jnp.broadcast_to(p["b"], (3, 4))


@case(f32["batch", 4], w=(3, 4))
def distances(p, x):
    return jnp.sum(jnp.abs(x[:, None, :] - p["w"][None]), axis=-1)


@case(f32["batch", 4], w=(3, 4))
def squared_distances(p, x):
    return jnp.sum((x[:, None, :] - p["w"]) ** 2, axis=-1)


@case(f32["batch", 4], b=(4,))
def vmap_bias(p, x):
    return jax.vmap(lambda sample: sample + p["b"])(x)


# Entry by entry

ELEMENTWISE = {
    "relu": relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": jax.nn.leaky_relu,
    "leaky_relu_0.2": partial(jax.nn.leaky_relu, negative_slope=0.2),
    "hard_tanh": jax.nn.hard_tanh,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_swish": jax.nn.hard_swish,
    "hard_silu": jax.nn.hard_silu,
    "squareplus_abs": lambda x: (jnp.abs(x) + x) / 2,
    "clip": lambda x: jnp.clip(x, -0.5, 0.75),
    "clip_low": lambda x: jnp.clip(x, min=-0.5),
    "clip_high": lambda x: jnp.clip(x, max=0.5),
    "lax_clamp": lambda x: lax.clamp(-0.5, x, 1.0),
    "maximum": lambda x: jnp.maximum(0.1 * x, x),
    "minimum": lambda x: jnp.minimum(x, 0.5),
    "maximum_zero": lambda x: jnp.maximum(0, x),
    "abs": jnp.abs,
    "python_abs": abs,
    "where_prelu": lambda x: jnp.where(x > 0, x, 0.25 * x),
    "where_step": lambda x: jnp.where(x >= 0, 1.0, -1.0),
    "where_dead": lambda x: jnp.where(jnp.abs(x) < 0.5, 0.0, x),
    "where_soft": lambda x: jnp.sign(x) * jnp.maximum(jnp.abs(x) - 0.5, 0),
    "heaviside_cast": lambda x: (x > 0).astype(jnp.float32),
    "mask_product": lambda x: x * (x > 0),
    "both_masks": lambda x: jnp.where((x > -0.5) & (x < 0.5), x, 0.0),
    "either_mask": lambda x: jnp.where((x < -0.5) | (x > 0.5), x, 0.0),
    "not_mask": lambda x: jnp.where(~(x > 0.5), x, 0.5),
    "sign": jnp.sign,
    "round": jnp.round,
    "square": jnp.square,
    "cube": lambda x: x**3,
    "fourth": lambda x: x**4,
    "negative": lambda x: -x + 1 - 2 * x,
    "divide": lambda x: x / 3 - 1 / 3,
    "tent": lambda x: 1 - jnp.abs(2 * x - 1),
    "relu_of_negative": lambda x: relu(-x) - relu(1 - x),
    "select_n": lambda x: lax.select(x > 0.5, jnp.full_like(x, 2.0), x),
    "nan_to_num": lambda x: jnp.where(x < 0, 0, x),
    "zero": lambda x: x * 0 + jnp.ones_like(x),
    "shrink": lambda x: x - jnp.clip(x, -0.5, 0.5),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name: str) -> None:
    check(Case(name, lambda p, x: ELEMENTWISE[name](x), {}, (f32["batch", 40],)))


@pytest.mark.parametrize("name", ["relu6", "hard_swish", "where_prelu", "mask_product", "clip"])
def test_elementwise_of_a_layer(name: str) -> None:
    def layer(p, x):
        h = ELEMENTWISE[name](x @ p["w"] + p["b"])
        return h + h @ p["v"]

    check(Case(name, layer, {"w": (4, 4), "b": (4,), "v": (4, 4)}, (f32["batch", 4],)))


@case(f32["batch", 4], w=(4, 6), a=(6,))
def prelu_trained(p, x):
    h = x @ p["w"]
    return jnp.where(h > 0, h, p["a"] * h)


@case(f32["batch", 4], w=(4, 6), v=(4, 6))
def gated(p, x):
    return relu(x @ p["w"]) * (x @ p["v"])


@case(f32["batch", 4], w=(4, 6), v=(4, 6))
def maxout(p, x):
    return jnp.maximum(x @ p["w"], x @ p["v"])


@case(f32["batch", 4], w=(4, 6))
def maxout_reshaped(p, x):
    h = x @ p["w"]
    return h.reshape(h.shape[0], 3, 2).max(axis=-1)


@case(f32["batch", 4], f32["batch", 4])
def where_of_another(p, x, z):
    return jnp.where(z > 0, x, 0.0)


@case(f32["batch", 4], f32["batch", 4])
def where_of_another_both(p, x, z):
    return jnp.where(z > 0.2, x + 1, -x)


@case(f32["batch", 4])
def where_mask_constant(p, x):
    return jnp.where(jnp.array([True, False, True, False]), x, 1.0)


@case(f32["batch", 4, 4])
def tril(p, x):
    return jnp.tril(x)


@case(f32["batch", 4, 4])
def triu(p, x):
    return jnp.triu(x, 1)


@case(f32["batch", 4], b=(4,))
def where_above_a_parameter(p, x):
    return jnp.where(x > p["b"], x, 0.0) + jnp.where(p["b"] >= 2 * x, 1.0, -1.0)


@case(f32["batch", 4])
def where_above_a_neighbour(p, x):
    return jnp.where(x > jnp.roll(x, 1, axis=1), x, 0.0)


@case(f32["batch", 4], b=(4,))
def clip_between_tensors(p, x):
    low = jnp.clip(x, jnp.array([-1.0, -0.5, 0.0, -2.0]), jnp.array([0.1, 0.2, 0.3, 0.4]))
    return low + jnp.clip(x, -jnp.abs(p["b"]), jnp.abs(p["b"]))


@case(f32["batch", 4], w=(4, 4))
def what_nothing_needs(p, x):
    (_, kept), _ = jax.jit(lambda h: ((jnp.tanh(h), h @ p["w"]), jnp.sort(h)))(x)
    return kept


@case(f32["batch", 4], w=(4, 4), b=(4,))
def computed_weights(p, x):
    w = jnp.tril(p["w"]) + jnp.diag(p["b"]) - p["w"].mean(axis=0) + jnp.eye(4)
    return x @ w @ jnp.kron(jnp.eye(2), jnp.ones((2, 2))) @ w[::-1]


@case(f32["batch", 4])
def fixed_random_features(p, x):
    return relu(x @ jax.random.normal(jax.random.key(0), (4, 6)))


# Reductions

REDUCTIONS = {
    "sum": lambda x: jnp.sum(x, axis=1),
    "sum_all_but_first": lambda x: x.sum(axis=(1, 2)),
    "sum_keepdims": lambda x: x - jnp.sum(x, axis=1, keepdims=True),
    "mean": lambda x: x.mean(axis=-1),
    "mean_keepdims": lambda x: x - x.mean(axis=-1, keepdims=True),
    "mean_two": lambda x: x.mean(axis=(1, 2)),
    "max": lambda x: x.max(axis=1),
    "max_keepdims": lambda x: x - x.max(axis=2, keepdims=True),
    "max_two": lambda x: jnp.max(x, axis=(-1, -2)),
    "min": lambda x: x.min(axis=1),
    "ptp": lambda x: jnp.ptp(x, axis=1),
    "relu_mean": lambda x: relu(x).mean(axis=1),
    "average_weighted": lambda x: jnp.average(x, axis=1, weights=jnp.array([0.2, 0.3, 0.5])),
    "trace": lambda x: jnp.trace(x, axis1=1, axis2=2),
    "mean_square": lambda x: jnp.mean(x**2, axis=-1),
    "l1": lambda x: jnp.abs(x).sum(axis=-1),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    check(Case(name, lambda p, x: REDUCTIONS[name](x), {}, (f32["batch", 3, 4],)))


# Views

VIEWS = {
    "reshape": lambda x: x.reshape(x.shape[0], -1),
    "reshape_minus_one": lambda x: x.reshape(-1, 12),
    "reshape_split": lambda x: x.reshape(x.shape[0], 3, 2, 2),
    "ravel": lambda x: jax.vmap(jnp.ravel)(x),
    "transpose": lambda x: x.transpose(0, 2, 1),
    "swapaxes": lambda x: jnp.swapaxes(x, 1, 2),
    "moveaxis": lambda x: jnp.moveaxis(x, -1, 0),
    "matrix_transpose": lambda x: x.mT,
    "expand_squeeze": lambda x: jnp.squeeze(jnp.expand_dims(x, (1, 3)), 1),
    "newaxis": lambda x: x[:, None, :, None],
    "concatenate": lambda x: jnp.concatenate([x, 2 * x, relu(x)], axis=-1),
    "hstack": lambda x: jnp.hstack([x, x]),
    "stack": lambda x: jnp.stack([x, -x], axis=1),
    "stack_last": lambda x: jnp.stack([x[..., 0], x[..., 1]], axis=-1),
    "split": lambda x: jnp.split(x, 2, axis=-1),
    "split_at": lambda x: jnp.split(x, [1], axis=1),
    "array_split": lambda x: jnp.array_split(x, 2, axis=1),
    "pad": lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1))),
    "pad_value": lambda x: jnp.pad(x, ((0, 0), (1, 0), (0, 1)), constant_values=0.5),
    "pad_edge": lambda x: jnp.pad(x, ((0, 0), (1, 1), (0, 0)), mode="edge"),
    "pad_reflect": lambda x: jnp.pad(x, ((0, 0), (0, 0), (2, 1)), mode="reflect"),
    "pad_wrap": lambda x: jnp.pad(x, ((0, 0), (0, 0), (2, 1)), mode="wrap"),
    "roll": lambda x: jnp.roll(x, 1, axis=-1),
    "roll_back": lambda x: jnp.roll(x, -2, axis=1),
    "flip": lambda x: jnp.flip(x, axis=1),
    "flip_two": lambda x: x[:, ::-1, ::-1],
    "tile": lambda x: jnp.tile(x, (1, 2, 1)),
    "repeat": lambda x: jnp.repeat(x, 2, axis=1),
    "rot90": lambda x: jnp.rot90(x, axes=(1, 2)),
    "integer": lambda x: x[:, 1],
    "integer_last": lambda x: x[..., -1],
    "integer_two": lambda x: x[:, -1, 2],
    "slice": lambda x: x[:, 1:3, ::2],
    "slice_negative": lambda x: x[:, :, -2:],
    "slice_strided": lambda x: x[:, ::2, 1::3],
    "list": lambda x: x[:, [2, 0]],
    "array": lambda x: x[:, :, jnp.array([3, 1, 1])],
    "array_negative": lambda x: x[:, np.array([-1, 0])],
    "array_2d": lambda x: x[:, np.array([[0, 1], [2, 0]])],
    "two_arrays": lambda x: x[:, np.array([0, 2]), np.array([1, 3])],
    "array_and_integer": lambda x: x[:, 1, np.array([0, 2])],
    "separated_arrays": lambda x: x[:, None, np.array([0, 2]), :, None],
    "mask": lambda x: x[:, np.array([True, False, True])],
    "ix": lambda x: x[:, np.array([[0], [2]]), np.array([1, 3])],
    "take": lambda x: jnp.take(x, jnp.array([2, 0]), axis=1),
    "take_2d": lambda x: jnp.take(x, np.array([[2, 0], [1, 1]]), axis=2),
    "take_scalar": lambda x: jnp.take(x, 1, axis=-1),
    "dynamic_slice": lambda x: lax.dynamic_slice_in_dim(x, 1, 2, axis=2),
    "dynamic_index": lambda x: lax.dynamic_index_in_dim(x, 2, axis=1, keepdims=False),
    "diagonal": lambda x: jnp.diagonal(x, axis1=1, axis2=2),
    "triangle": lambda x: x[:, *np.triu_indices(3)],
    "diff": lambda x: jnp.diff(x, axis=-1),
    "unstack": lambda x: [relu(each) for each in jnp.unstack(x, axis=1)],
    "at_set": lambda x: x.at[:, 0].set(0.0),
    "at_add": lambda x: x.at[:, :, 1].add(2.0),
    "at_multiply": lambda x: x.at[:, 1].multiply(2.0),
    "at_add_repeated": lambda x: x.at[:, np.array([2, 0, 2, 2])].add(x[:, np.array([0, 1, 1, 2])]),
    "at_subtract_repeated": lambda x: x.at[:, np.array([1, 1])].subtract(0.5),
    "at_multiply_repeated": lambda x: x.at[:, :, np.array([1, 3, 1])].multiply(np.array([2.0, 3.0, 0.5])),
    "segment_sum": lambda x: jnp.moveaxis(
        jax.ops.segment_sum(jnp.moveaxis(x, 2, 0), np.array([1, 0, 1, 1]), num_segments=2), 0, 2
    ),
    "meshed": lambda x: x + jnp.arange(4.0),
    "atleast": lambda x: jnp.atleast_3d(x),
    "dstack": lambda x: jnp.dstack([x, x]),
    "block": lambda x: jnp.concatenate([jnp.zeros_like(x[:, :1]), x[:, :-1]], axis=1),
    "column_stack": lambda x: jnp.column_stack([x[:, 0], x[:, 1]]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name: str) -> None:
    check(Case(name, lambda p, x: VIEWS[name](x), {}, (f32["batch", 3, 4],)))


# Rows by number


@case(i32["batch"], table=(5, 4))
def take_rows(p, n):
    return jnp.take(p["table"], n, axis=0)


@case(i32["batch", 3], table=(5, 4), v=(4, 2))
def embedding(p, n):
    return p["table"][n] @ p["v"]


@case(i32["batch", 3], table=(4, 5))
def take_columns(p, n):
    return jnp.take(p["table"], n, axis=1)


@case(i32["batch"], table=(4, 5))
def take_last_axis(p, n):
    return jnp.take(p["table"], n, axis=-1)


@case(i32["batch", 2], table=(3, 5, 4))
def take_middle_axis(p, n):
    return jnp.take(p["table"], n, axis=-2)


@case(i32["batch", 3], table=(5, 4))
def take_clipped(p, n):
    return jnp.take(p["table"], n, axis=0, mode="clip")


@case(i32["batch", 3], table=(5, 4), positions=(3, 4))
def embedding_positions(p, n):
    return p["table"][n] + p["positions"][jnp.arange(3)]


@case(i32["batch"], table=(5,))
def take_numbers(p, n):
    return p["table"][n]


@case(i32["batch", 3], table=(5, 4))
def vmap_embedding(p, n):
    return jax.vmap(lambda sample: jnp.take(p["table"], sample, axis=0).sum(axis=0))(n)


@case(i32["batch", 3], table=(5, 4))
def bag_of_rows(p, n):
    return p["table"][n].mean(axis=1)


@case(i32["batch", 4], table=(5, 4))
def shifted_tokens(p, n):
    return p["table"][n[:, :-1]] + p["table"][n[:, 1:]]


@case(i32["batch", 3], f32["batch", 3, 4], table=(5, 4))
def embedding_and_numbers(p, n, x):
    return jnp.concatenate([p["table"][n], x], axis=-1)


# Loops


@case(f32["batch", 4, 3], w=(3, 5), u=(5, 5), b=(5,), v=(5, 2))
def recurrent(p, x):
    def step(h, row):
        h = relu(row @ p["w"] + h @ p["u"] + p["b"])
        return h, h @ p["v"]

    last, ys = lax.scan(step, jnp.zeros((x.shape[0], 5)), jnp.swapaxes(x, 0, 1))
    return last, ys


@case(f32["batch", 4, 3], w=(3, 5), u=(5, 5))
def recurrent_reverse(p, x):
    def step(h, row):
        h = relu(row @ p["w"] + h @ p["u"])
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[0], 5)), jnp.swapaxes(x, 0, 1), reverse=True)[1]


@case(f32["batch", 4, 3], w=(5, 3), u=(5, 5))
def vmap_of_scan(p, x):
    def one(rows):
        def step(h, row):
            h = relu(p["w"] @ row + p["u"] @ h)
            return h, h

        return lax.scan(step, jnp.zeros(5), rows)[1]

    return jax.vmap(one)(x)


@case(f32["batch", 4], w=(3, 4, 4), b=(3, 4))
def scan_of_layers(p, x):
    def layer(h, weights):
        w, b = weights
        return h + relu(h @ w + b), None

    return lax.scan(layer, x, (p["w"], p["b"]))[0]


@case(f32["batch", 4], w=(4, 4))
def fori(p, x):
    return lax.fori_loop(0, 3, lambda i, h: relu(h @ p["w"]), x)


@case(f32["batch", 4], w=(3, 4, 4))
def fori_indexed(p, x):
    return lax.fori_loop(0, 3, lambda i, h: relu(h @ p["w"][i]), x)


@case(f32["batch", 4], w=(4, 4, 4))
def fori_offset(p, x):
    return lax.fori_loop(1, 4, lambda i, h: relu(h @ p["w"][i] + h @ p["w"][i - 1]), x)


@case(f32["batch", 4, 3], w=(3, 4), layers=(2, 4, 4))
def scan_nested(p, x):
    def step(h, row):
        h = h + row @ p["w"]
        h, _ = lax.scan(lambda g, w: (relu(g @ w), None), h, p["layers"])
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[0], 4)), x.swapaxes(0, 1))[1]


@case(f32["batch", 4, 3], w=(3, 4), u=(4, 4))
def scan_two_carries(p, x):
    def step(carry, row):
        h, c = carry
        h = relu(row @ p["w"] + h @ p["u"])
        return (h, c + h), (h, c)

    start = jnp.zeros((x.shape[0], 4))
    return lax.scan(step, (start, start), x.swapaxes(0, 1))


@case(f32["batch", 4, 3], w=(3, 3))
def scan_swapped_carries(p, x):
    def step(carry, row):
        a, b = carry
        return (b, relu(a @ p["w"] + row)), a

    start = jnp.ones((x.shape[0], 3))
    return lax.scan(step, (start, 2 * start), x.swapaxes(0, 1))


@case(f32["batch", 4, 3], w=(3, 3), h=(3,))
def scan_trained_start(p, x):
    start = jnp.broadcast_to(p["h"], (x.shape[0], 3))
    return lax.scan(lambda h, row: (relu(h @ p["w"] + row), None), start, x.swapaxes(0, 1))[0]


@case(f32["batch", 4], w=(4, 4))
def scan_without_xs(p, x):
    return lax.scan(lambda h, _: (relu(h @ p["w"]), h), x, None, length=3)


@case(f32["batch", 4], w=(3, 4, 4))
def scan_without_carry(p, x):
    return lax.scan(lambda _, w: (None, relu(x @ w)), None, p["w"])[1]


@case(f32["batch", 4], w=(3, 4, 4))
def map_over_weights(p, x):
    return lax.map(lambda w: relu(x @ w), p["w"])


@case(f32["batch", 4, 3])
def cumulative_by_scan(p, x):
    return lax.scan(lambda s, row: (s + row, s + row), jnp.zeros((x.shape[0], 3)), x.swapaxes(0, 1))[1]


@case(f32["batch", 4, 3], w=(3, 3))
def scan_constants(p, x):
    scales = jnp.array([0.5, 1.0, 1.5, 2.0])

    def step(h, given):
        row, scale = given
        return relu(h @ p["w"] + scale * row), None

    return lax.scan(step, jnp.zeros((x.shape[0], 3)), (x.swapaxes(0, 1), scales))[0]


@case(f32["batch", 4], w=(4, 4))
def scan_masks(p, x):
    def step(h, mask):
        return jnp.where(mask, relu(h @ p["w"]), h), None

    return lax.scan(step, x, jnp.array([[True, False, True, True], [False, True, True, False]]))[0]


@case(i32["batch", 4], table=(5, 3), u=(3, 3))
def scan_embedding(p, n):
    def step(h, row):
        h = relu(p["table"][row] + h @ p["u"])
        return h, h

    return lax.scan(step, jnp.zeros((n.shape[0], 3)), n.T)[1]


@case(f32["batch", 4, 3], w=(3, 5), u=(5, 5))
def scan_unroll(p, x):
    def step(h, row):
        return relu(row @ p["w"] + h @ p["u"]), None

    return lax.scan(step, jnp.zeros((x.shape[0], 5)), x.swapaxes(0, 1), unroll=2)[0]


@case(f32["batch", 4, 3], w=(3, 5), u=(5, 5))
def recurrent_by_for(p, x):
    h = jnp.zeros((x.shape[0], 5))
    for t in range(x.shape[1]):
        h = relu(x[:, t] @ p["w"] + h @ p["u"])
    return h


@case(f32["batch", 4], w=(6, 4, 4))
def scan_of_pairs(p, x):
    pairs = p["w"].reshape(3, 2, 4, 4)
    return lax.scan(lambda h, w: (h + relu(h @ w[0]) @ w[1], None), x, pairs)[0]


# Calls


@case(f32["batch", 4], w=(4, 4))
def remat(p, x):
    block = jax.checkpoint(lambda h: relu(h @ p["w"]))
    return block(block(x))


@case(f32["batch", 4], w=(4, 4))
def jitted(p, x):
    @jax.jit
    def layer(h, w):
        return relu(h @ w)

    return layer(layer(x, p["w"]), p["w"])


@case(f32["batch", 4], w=(4, 4))
def names_and_places(p, x):
    return checkpoint_name(relu(jax.device_put(x) @ p["w"]), "hidden")


@case(f32["batch", 4], w=(4, 4))
def stop_gradient(p, x):
    return x @ p["w"] + lax.stop_gradient(relu(x))


@jax.custom_jvp
def own_relu(x):
    return jnp.maximum(x, 0)


own_relu.defjvps(lambda t, _, x: t * (x > 0))


@jax.custom_vjp
def straight_through(x):
    return jnp.where(x > 0, 1.0, -1.0)


straight_through.defvjp(lambda x: (straight_through(x), None), lambda _, g: (g,))


@case(f32["batch", 4], w=(4, 4))
def custom_jvp(p, x):
    return own_relu(x @ p["w"])


@case(f32["batch", 4], w=(4, 4))
def custom_vjp(p, x):
    return straight_through(x @ p["w"])


@case(f32["batch", 4], w=(4, 4))
def cond_of_static(p, x):
    return lax.cond(True, lambda h: relu(h @ p["w"]), lambda h: h, x)


@case(f32["batch", 4], w=(4, 4))
def switch_of_constant(p, x):
    return lax.switch(1, [lambda h: h, lambda h: h @ p["w"]], x)


@case(f32["batch", 4], w=(4, 4), v=(4, 2), c=(4,))
def several_outputs(p, x):
    h = relu(x @ p["w"])
    return {"logits": h @ p["v"], "hidden": h, "both": (h.sum(axis=1), x + p["c"])}


@case(f32["batch", 4], f32["batch", 3], w=(4, 3))
def two_inputs(p, x, context):
    return relu(x @ p["w"] + context)


# Images


@case(f32["batch", 6, 6, 2], k=(3, 3, 2, 4), b=(4,))
def conv_nhwc(p, x):
    y = lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return relu(y + p["b"])


@case(f32["batch", 2, 6, 6], k=(4, 2, 3, 3), b=(4,))
def conv_nchw(p, x):
    return relu(lax.conv(x, p["k"], (1, 1), "VALID") + p["b"][:, None, None])


@case(f32["batch", 2, 7, 6], k=(4, 2, 3, 2), v=(6, 4, 3, 3))
def convs_nchw(p, x):
    h = relu(lax.conv(x, p["k"], (2, 1), "SAME"))
    return lax.conv(h, p["v"], (1, 1), "SAME").mean(axis=(2, 3))


@case(f32["batch", 8, 2], k=(3, 2, 4))
def conv_1d(p, x):
    return lax.conv_general_dilated(x, p["k"], (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


@case(f32["batch", 2, 8], k=(4, 2, 3))
def conv_1d_channels_first(p, x):
    return lax.conv_general_dilated(x, p["k"], (1,), [(2, 0)])


@case(f32["batch", 6, 6, 4], k=(3, 3, 2, 6))
def conv_groups(p, x):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, p["k"], (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=2
    )


@case(f32["batch", 4, 6, 6], k=(4, 1, 3, 3))
def conv_depthwise(p, x):
    return lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", feature_group_count=4)


@case(f32["batch", 8, 8, 2], k=(3, 3, 2, 3))
def conv_dilated(p, x):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, p["k"], (1, 2), [(2, 2), (1, 0)], rhs_dilation=(2, 1), dimension_numbers=numbers
    )


@case(f32["batch", 2, 6, 6], k=(4, 2, 3, 3))
def vmap_conv(p, x):
    return jax.vmap(lambda image: lax.conv(image[None], p["k"], (1, 1), "SAME")[0])(x)


@case(f32["batch", 6, 6, 2], k=(3, 3, 2, 4), w=(36, 3))
def cnn_pooled(p, x):
    y = lax.conv_general_dilated(x, p["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = lax.reduce_window(relu(y), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return y.reshape(y.shape[0], -1) @ p["w"]


def max_windows(x, window, strides, padding):
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)


def sum_windows(x, window, strides, padding):
    return lax.reduce_window(x, 0.0, lax.add, window, strides, padding)


POOLS = {
    "max": lambda x: max_windows(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "max_same": lambda x: max_windows(x, (1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
    "max_overlapping": lambda x: max_windows(x, (1, 3, 2, 1), (1, 1, 2, 1), "VALID"),
    "max_padded": lambda x: max_windows(x, (1, 3, 3, 1), (1, 1, 1, 1), ((0, 0), (1, 1), (0, 1), (0, 0))),
    "max_one_axis": lambda x: max_windows(x, (1, 1, 2, 1), (1, 1, 2, 1), "VALID"),
    "max_channels": lambda x: max_windows(x, (1, 1, 1, 2), (1, 1, 1, 2), "VALID"),
    "max_first_axes": lambda x: max_windows(x, (1, 2, 1, 2), (1, 1, 1, 1), "VALID"),
    "max_steps": lambda x: max_windows(x, (1, 1, 1, 1), (1, 2, 2, 1), "VALID"),
    "sum": lambda x: sum_windows(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "mean": lambda x: sum_windows(x, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4,
    "mean_same": lambda x: (
        sum_windows(x, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        / sum_windows(jnp.ones_like(x), (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    ),
    "mean_overlapping": lambda x: sum_windows(x, (1, 3, 3, 1), (1, 1, 1, 1), "VALID") / 9,
    "min": lambda x: lax.reduce_window(x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str) -> None:
    check(Case(name, lambda p, x: POOLS[name](x), {}, (f32["batch", 5, 6, 2],)))


@case(f32["batch", 2, 6, 6])
def pool_nchw(p, x):
    return max_windows(x, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


@case(f32["batch", 8, 3])
def pool_1d(p, x):
    return max_windows(x, (1, 2, 1), (1, 2, 1), "VALID")


@case(f32["batch", 2, 6, 6])
def vmap_pool(p, x):
    return jax.vmap(lambda image: sum_windows(image, (1, 2, 2), (1, 2, 2), "VALID") / 4)(x)


@case(f32["batch", 5, 3], w=(3, 3))
def batch_norm_inference(p, x):
    mean, var = jnp.array([0.1, -0.2, 0.3]), jnp.array([1.0, 0.5, 2.0])
    return relu((x @ p["w"] - mean) / jnp.sqrt(var + 1e-5))


@case(f32["batch", 6, 4], w=(4, 4))
def positional_encoding(p, x):
    places = np.arange(6)[:, None] / 10000 ** (np.arange(0, 4, 2) / 4)
    encoding = jnp.concatenate([jnp.sin(places), jnp.cos(places)], axis=1)
    return (x + encoding) @ p["w"]


@case(f32["batch", 6, 4], w=(4, 4))
def positional_encoding_in_jax(p, x):
    t, d = x.shape[1:]
    angles = jnp.arange(t)[:, None] * jnp.exp(-jnp.arange(0, d, 2) * (jnp.log(100.0) / d))
    encoding = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(t, d)
    return (x + encoding[None]) @ p["w"]


@case(f32["batch", 4, 4], w=(4, 4))
def alibi(p, x):
    distance = jnp.abs(jnp.arange(4)[:, None] - jnp.arange(4)[None]).astype(jnp.float32)
    return relu(x @ p["w"] @ x.mT - 0.5 * distance) @ x


@case(f32["batch", 6, 6, 2], k=(2, 2, 2, 3), w=(3, 3))
def patches(p, x):
    b = x.shape[0]
    tiles = x.reshape(b, 3, 2, 3, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(b, 9, 8)
    return relu(tiles @ p["k"].reshape(8, 3)) @ p["w"]


@case(f32["batch", 6, 4], w1=(4, 8), w2=(8, 4), t1=(6, 8), t2=(8, 6))
def mlp_mixer(p, x):
    y = jax.vmap(lambda z: relu(z.T @ p["t1"]) @ p["t2"])(x)
    x = x + y.swapaxes(1, 2)
    return (x + relu(x @ p["w1"]) @ p["w2"]).mean(axis=1)


@pytest.mark.parametrize("each", case.found, ids=lambda each: each.name)
def test_models(each: Case) -> None:
    check(each)


def test_views_are_folded() -> None:
    def network(p, x):
        h = jnp.moveaxis(x.reshape(x.shape[0], 3, 2, 2), 1, -1).transpose(0, 3, 1, 2)
        return jnp.squeeze(h[:, None], 1).reshape(x.shape[0], 12) @ p["w"]

    text = check(Case("network", network, {"w": (12, 2)}, (f32["batch", 12],))).to_pjn()
    assert "reshape" not in text
    assert "transpose" not in text


def test_images_stay_in_the_order_of_their_convolutions() -> None:
    case_ = next(each for each in case.found if each.name == "convs_nchw")
    text = check(case_).to_pjn()
    assert text.count("transpose(") == len(["x", "k", "v"])


def test_equal_layers_are_one_loop() -> None:
    def layer(x, p):
        q, k, v = (x @ p[name] for name in "qkv")
        x = x + relu(q @ k.mT / x.shape[1]) @ v @ p["o"]
        return x + relu(x @ p["up"]) @ p["down"], None

    def network(p, x):
        return lax.scan(layer, x, p)[0]

    shapes = dict.fromkeys("qkvo", (32, 4, 4)) | {"up": (32, 4, 8), "down": (32, 8, 4)}
    text = check(Case("network", network, shapes, (f32["batch", 3, 4],))).to_pjn()
    assert text.count("for ") == 1
    assert text.count("@") == 8
