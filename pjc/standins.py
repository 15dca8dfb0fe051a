"""What to use instead of functions that have no projection.

A projection onto the graph of a function needs a closed form; the language has functions that are piecewise
linear, or have one otherwise, and behave alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StandIn:
    """A function that pjc has not, and what to use instead."""

    name: str
    instead: str


_CURVES = "a piecewise linear function has one: "
_INSTEAD = {
    "tanh": _CURVES + "jax.nn.hard_tanh(x), clip(x, -1, 1)",
    "sigmoid": _CURVES + "jax.nn.hard_sigmoid(x), clip(x / 6 + 0.5, 0, 1)",
    "gelu": "relu has one, or x times hard_sigmoid(x), which is jax.nn.hard_swish",
    "silu": "jax.nn.hard_swish(x), x times hard_sigmoid(x), has one",
    "elu": "jax.nn.leaky_relu(x) has one",
    "softplus": "relu has one",
    "mish": "jax.nn.hard_swish(x) has one",
    "softmax": "at the end of a network the loss cross_entropy does it: return the logits; in attention relu "
    "of the scores, divided by the number of keys, takes its place",
    "log_softmax": "the loss cross_entropy does it: return the logits",
    "logsumexp": "the loss cross_entropy does it: return the logits",
    "layer_norm": "leave it out, with smaller first weights; BatchNorm in inference has one",
    "group_norm": "BatchNorm in inference has one, which is a scale and a shift",
    "rms_norm": "leave it out, with smaller first weights",
    "batch_norm": "take it in inference, use_running_average=True, with its statistics out of the "
    "parameters: nnx.split(model, nnx.Param, ...)",
    "dropout": "take it in inference: deterministic=True; training by projections needs no noise",
    "one_hot": "table[indices], or jnp.take(table, indices, axis=0), takes the rows by number",
    "norm": "keep it for a set: a ball or a sphere on the value",
    "lstm": "a cell of relu(x @ w + h @ u + b) has one",
    "gru": "a cell of relu(x @ w + h @ u + b) has one",
    "exp": "a piecewise linear function, as jnp.clip or leaky_relu make it, has one",
    "log": "a piecewise linear function, as jnp.clip or leaky_relu make it, has one",
    "sqrt": "it is computed where it depends on constants alone",
    "div": "division by a number that is known has one; by a value, multiply instead",
    "pow": "x * x has one",
    "sin": "of constants, as in positional encodings, it is computed",
    "floor": "pjc.round(x) has one",
    "sort": "jnp.max along an axis has one",
    "argmax": "return the scores, and take it outside of the function",
    "cumsum": "along an axis of a fixed size it has one",
    "iota": "jnp.take_along_axis, or x[i] under jax.vmap, takes an entry of each sample",
    "cond": "compile the branch that is taken; jnp.where on values of one tensor has one",
    "while": "jax.lax.fori_loop or scan of a fixed length has one",
    "scatter": "return rows from jax.lax.scan, or concatenate them",
    "random": "take the network in inference, or give the numbers as an input",
}
_ALIASES = {
    "logistic": "sigmoid",
    "log_sigmoid": "softplus",
    "swish": "silu",
    "celu": "elu",
    "selu": "elu",
    "expm1": "elu",
    "erf": "gelu",
    "erfc": "gelu",
    "LayerNorm": "layer_norm",
    "GroupNorm": "group_norm",
    "RMSNorm": "rms_norm",
    "BatchNorm": "batch_norm",
    "Dropout": "dropout",
    "LSTMCell": "lstm",
    "GRUCell": "gru",
    "OptimizedLSTMCell": "lstm",
    "rsqrt": "sqrt",
    "cbrt": "sqrt",
    "exp2": "exp",
    "log1p": "log",
    "integer_pow": "pow",
    "cos": "sin",
    "tan": "sin",
    "ceil": "floor",
    "rem": "floor",
    "top_k": "sort",
    "argmin": "argmax",
    "cumprod": "cumsum",
    "cummax": "cumsum",
    "scatter_add": "scatter",
    "cumlogsumexp": "logsumexp",
    "dynamic_update_slice": "scatter",
    "random_bits": "random",
    "random_wrap": "random",
    "random_unwrap": "random",
    "random_seed": "random",
    "random_fold_in": "random",
    "threefry2x32": "random",
    "standardize": "layer_norm",
}


def standin(name: str, through: Sequence[str] = ()) -> StandIn | None:
    """Return what takes the place of a function, by its name or that of a function that calls it.

    ``through`` are the functions that it was called in, the innermost first; the outermost that is known
    says most of what was meant.
    """
    for each in (*reversed(through), name):
        for part in (each, *each.split(".")[::-1]):
            known = _ALIASES.get(part, part)
            found = _INSTEAD.get(known)
            if found is not None:
                return StandIn(known, found)
    return None


_IN_ONNX = {
    "HardSigmoid": "Clip of a multiple of x has a projection",
    "Elu": "use LeakyRelu",
    "Sqrt": "it is computed where it depends on constants alone",
    "ConvTranspose": "Conv, with Pad or Expand before it, is known",
    "If": "export the branch that is taken",
    "Loop": "export with the loop unrolled",
    "Scan": "export with the loop unrolled",
    "Sigmoid": "clip(x / 4 + 1 / 2, 0, 1) has a projection, Sigmoid has none",
    "Tanh": "Clip to -1 and 1 has a projection, Tanh has none",
    "Gelu": "use Relu",
    "Softmax": "only as the last node, where the loss absorbs it; inside, Relu has a projection",
    "LogSoftmax": "only as the last node, where the loss absorbs it",
    "LSTM": "RNN with the activation Relu is known",
    "GRU": "RNN with the activation Relu is known",
    "LayerNormalization": "BatchNormalization is known",
}
"""What models are to have instead, by operators of ONNX."""


def standin_in_onnx(op: str) -> str:
    """Return what to use instead of an operator of ONNX."""
    return _IN_ONNX.get(
        op, "docs/onnx.md lists the operators that are known; pjc.operator makes others for .pjn files"
    )
