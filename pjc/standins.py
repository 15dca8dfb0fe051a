"""What to use instead of functions that pjc has not: an entry a function, in the words of each frontend.

A projection onto the graph of a function needs a closed form; the language has functions that are piecewise
linear, or have one otherwise, and behave alike. Other functions it has under another name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class StandIn:
    """A function that pjc has not under this name, and what to use instead."""

    name: str
    jax: str | None
    """In words of jax.numpy; None where what is traced cannot meet it."""
    language: str | None
    """In words of pjc's language; None where no one would write it there."""
    onnx: str | None
    """In words of ONNX; None where its operators have no such thing."""
    lacking: bool
    """Whether it has no projection; the other functions are only called otherwise."""


_ENTRIES: list[StandIn] = []
_NAMES: dict[str, StandIn] = {}


def _lacking(
    names: str, *, jax: str | None = None, language: str | None = None, onnx: str | None = None
) -> None:
    """Enter a function without a projection; the first of its ``names`` is the one that messages say."""
    _enter(names, jax, language, onnx, True)


def _otherwise(names: str, language: str, onnx: str | None = None) -> None:
    """Enter names that others have for what the language can say."""
    _enter(names, None, language, onnx, False)


def _enter(names: str, jax: str | None, language: str | None, onnx: str | None, lacking: bool) -> None:
    first, *others = names.split()
    made = StandIn(first, jax, language, onnx, lacking)
    _ENTRIES.append(made)
    _NAMES.update(dict.fromkeys((first, *others), made))


_CURVES = "a piecewise linear function has one: "
_LOGITS = "the loss cross_entropy does it: "
_NO_NORM = "leave it out, with smaller first weights"
_UNROLLED = "export with the loop unrolled"
_CELL = "a cell of relu(x @ w + h @ u + b) has one"
_RNN = "RNN with the activation Relu is known"
_PIECES = "piecewise(x, edges, slopes, offsets) is any piecewise linear function"
_KNOWN = "it is computed where it depends on constants alone"

# Functions without a projection.
_lacking(
    "tanh Tanh",
    jax=_CURVES + "jax.nn.hard_tanh(x), clip(x, -1, 1)",
    language="use clip(x, -1, 1), which is piecewise linear",
    onnx="Clip to -1 and 1 has a projection, Tanh has none",
)
_lacking(
    "sigmoid logistic Sigmoid expit",
    jax=_CURVES + "jax.nn.hard_sigmoid(x), clip(x / 6 + 0.5, 0, 1)",
    language="use clip(x / 6 + 0.5, 0, 1), which is piecewise linear",
    onnx="clip(x / 4 + 1 / 2, 0, 1) has a projection, Sigmoid has none",
)
_lacking(
    "gelu erf erfc Gelu Erf",
    jax="relu has one, or x times hard_sigmoid(x), which is jax.nn.hard_swish",
    language="use relu(x), or x * clip(x / 6 + 0.5, 0, 1)",
    onnx="use Relu",
)
_lacking(
    "silu swish Swish",
    jax="jax.nn.hard_swish(x), x times hard_sigmoid(x), has one",
    language="use x * clip(x / 6 + 0.5, 0, 1), or relu(x)",
    onnx="use Relu",
)
_lacking(
    "elu celu selu expm1 Elu Celu Selu",
    jax="jax.nn.leaky_relu(x) has one",
    language="use leaky_relu(x, 0.1)",
    onnx="use LeakyRelu",
)
_lacking("softplus log_sigmoid Softplus", jax="relu has one", language="use relu(x)", onnx="use Relu")
_lacking(
    "mish Mish",
    jax="jax.nn.hard_swish(x) has one",
    language="use x * clip(x / 6 + 0.5, 0, 1), or relu(x)",
    onnx="use Relu",
)
_lacking(
    "softmax Softmax",
    jax="at the end of a network the loss cross_entropy does it: return the logits; in attention relu "
    "of the scores, divided by the number of keys, takes its place",
    language="at the end of a network the loss cross_entropy does it: output the logits; in attention use "
    "relu(scores), as nn.attention does",
    onnx="only as the last node, where the loss absorbs it; inside, Relu has a projection",
)
_lacking(
    "log_softmax LogSoftmax",
    jax=_LOGITS + "return the logits",
    language=_LOGITS + "output the logits",
    onnx="only as the last node, where the loss absorbs it",
)
_lacking(
    "logsumexp cumlogsumexp ReduceLogSumExp",
    jax=_LOGITS + "return the logits",
    language=_LOGITS + "output the logits",
    onnx=_LOGITS + "let the model give the logits",
)
_lacking(
    "layer_norm LayerNorm LayerNormalization standardize InstanceNormalization InstanceNorm",
    jax=f"{_NO_NORM}; BatchNorm in inference has one",
    language=f"{_NO_NORM}, as in scale = 0.1 of nn.dense",
    onnx="BatchNormalization is known",
)
_lacking(
    "group_norm GroupNorm GroupNormalization",
    jax="BatchNorm in inference has one, which is a scale and a shift",
    language=f"{_NO_NORM}, as in scale = 0.1 of nn.dense",
    onnx="BatchNormalization is known",
)
_lacking(
    "rms_norm RMSNorm RMSNormalization",
    jax=_NO_NORM,
    language=f"{_NO_NORM}, as in scale = 0.1 of nn.dense",
    onnx="BatchNormalization is known",
)
_lacking(
    "batch_norm BatchNorm BatchNorm1d BatchNorm2d BatchNormalization",
    jax="take it in inference, use_running_average=True, with its statistics out of the "
    "parameters: nnx.split(model, nnx.Param, ...)",
    language=f"{_NO_NORM}; in inference it is x * scale + shift, with parameters of one value a column",
)
_lacking(
    "dropout Dropout Dropout2d AlphaDropout",
    jax="take it in inference: deterministic=True; training by projections needs no noise",
    language="leave it out: training by projections needs no noise",
)
_lacking(
    "one_hot OneHot",
    jax="table[indices], or jnp.take(table, indices, axis=0), takes the rows by number",
    language="embedding(table, indices) takes the rows of a table by number",
    onnx="Gather takes the rows of a table by number",
)
_lacking(
    "norm ReduceL2",
    jax="keep it for a set: a ball or a sphere on the value",
    language="keep it for a set: require w in ball(1), or in sphere(1)",
)
_lacking(
    "lstm LSTMCell OptimizedLSTMCell LSTM",
    jax=_CELL,
    language="use nn.rnn_cell(x, state) in a loop, below 'use nn'",
    onnx=_RNN,
)
_lacking(
    "gru GRUCell GRU", jax=_CELL, language="use nn.rnn_cell(x, state) in a loop, below 'use nn'", onnx=_RNN
)
_lacking(
    "exp exp2 Exp",
    jax="a piecewise linear function, as jnp.clip or leaky_relu make it, has one",
    language=_PIECES,
    onnx=f"{_KNOWN}; LeakyRelu and Clip have a projection",
)
_lacking(
    "log log1p log2 log10 Log",
    jax="a piecewise linear function, as jnp.clip or leaky_relu make it, has one",
    language=_PIECES,
    onnx=f"{_KNOWN}; LeakyRelu and Clip have a projection",
)
_lacking(
    "sqrt rsqrt cbrt Sqrt Reciprocal",
    jax=_KNOWN,
    language=f"write a number as it is, as in x * 0.125; {_PIECES}",
    onnx=_KNOWN,
)
_lacking(
    "div divide true_divide",
    jax="division by a number that is known has one; by a value, multiply instead",
    language="x / 2 divides by a number; instead of dividing by a tensor multiply with one",
)
_lacking(
    "pow integer_pow power square Pow",
    jax="x * x has one",
    language="write x * x",
    onnx="Mul of x and x has one",
)
_lacking(
    "sin cos tan Sin Cos Tan",
    jax="of constants, as in positional encodings, it is computed",
    language=f"array(((..), ..)) holds numbers that are known, as positional encodings are; {_PIECES}",
    onnx=_KNOWN,
)
_lacking(
    "floor ceil rem mod trunc Floor Ceil Mod",
    jax="pjc.round(x) has one",
    language="round(x) gives whole numbers",
    onnx="Round has a projection",
)
_lacking(
    "sort top_k topk argsort TopK",
    jax="jnp.max along an axis has one",
    language="max(x, axis = -1) is the largest of each row",
    onnx="ReduceMax has a projection",
)
_lacking(
    "argmax argmin ArgMax ArgMin",
    jax="return the scores, and take it outside of the function",
    language="output the scores: who reads them takes the largest",
    onnx="let the model give the scores",
)
_lacking(
    "cumsum cumprod cummax CumSum",
    jax="along an axis of a fixed size it has one",
    language="a loop adds up in turn: s = s + x[:, t] in 'for t in 0..T'",
    onnx="a product with a triangular matrix of ones has one",
)
_lacking("iota", jax="jnp.take_along_axis, or x[i] under jax.vmap, takes an entry of each sample")
_lacking(
    "cond switch If",
    jax="compile the branch that is taken; jnp.where on values of one tensor has one",
    language=f"write the branch that is taken; {_PIECES}",
    onnx="export the branch that is taken",
)
_lacking(
    "while while_loop Loop Scan",
    jax="jax.lax.fori_loop or scan of a fixed length has one",
    language="'for t in 0..T' is a loop of a known length",
    onnx=_UNROLLED,
)
_lacking(
    "scatter scatter_add dynamic_update_slice ScatterND ScatterElements",
    jax="return rows from jax.lax.scan, or concatenate them",
    language="make the rows, and concat(a, b, axis = 0) them",
    onnx="Concat of the rows is known",
)
_lacking(
    "random random_bits random_wrap random_unwrap random_seed random_fold_in threefry2x32 RandomNormal "
    "RandomUniform",
    jax="take the network in inference, or give the numbers as an input",
    language="give the numbers as an input; what parameters start from is an initializer, as he_normal",
    onnx="give the numbers as an input",
)
_lacking(
    "conv_transpose ConvTranspose ConvTranspose2d Conv2DTranspose",
    jax="jnp.repeat, then a convolution, has one",
    language="repeat the pixels with broadcast(x, shape) and reshape(x, shape), then conv2d(x, weight)",
    onnx="Conv, with Pad or Expand before it, is known",
)
_lacking(
    "hard_sigmoid HardSigmoid",
    language="write clip(x / 6 + 0.5, 0, 1)",
    onnx="Clip of a multiple of x has a projection",
)
_lacking(
    "hard_swish HardSwish hard_silu",
    language="write x * clip(x / 6 + 0.5, 0, 1)",
    onnx="x times Clip has a projection",
)

# What the language has under another name.
_otherwise(
    "linear Dense fc affine fully_connected",
    "nn.linear(x, width), below 'use nn', is it; nn.dense(x, width) has a relu behind it",
)
_otherwise("mlp Sequential", "nn.mlp(x, hidden, width), below 'use nn'; or a line for each layer")
_otherwise("mm bmm einsum tensordot matvec vdot inner", "write x @ w")
_otherwise("relu6", "write clip(x, 0, 6)")
_otherwise("hard_tanh", "write clip(x, -1, 1)", onnx="Clip to -1 and 1 is known")
_otherwise("prelu PRelu rrelu", "write leaky_relu(x, 0.1)", onnx="use LeakyRelu")
_otherwise(
    "thresholded_relu heaviside binarize threshold",
    "write step(x), which is 0 or 1, or sign(x), which is -1 or 1",
    onnx="Relu and Clip are known",
)
_otherwise(
    "mse mse_loss l2_loss mean_squared_error MSELoss huber huber_loss l1_loss mae smooth_l1_loss",
    "write require squared_error(value, target)",
)
_otherwise(
    "nll nll_loss softmax_cross_entropy softmax_cross_entropy_with_integer_labels crossentropy xent "
    "cross_entropy_loss categorical_crossentropy sparse_categorical_crossentropy NegativeLogLikelihoodLoss",
    "write require cross_entropy(logits, target)",
)
_otherwise(
    "bce bce_loss bce_with_logits bce_with_logits_loss binary_cross_entropy binary_crossentropy "
    "sigmoid_binary_cross_entropy binary_cross_entropy_with_logits",
    "write require multi_label(logits, target)",
)
_otherwise("hinge_loss multi_margin_loss multiclass_hinge_loss svm", "write require hinge(logits, target)")
_otherwise(
    "conv conv1d conv3d conv_general_dilated convolution",
    "conv2d(x, weight), or nn.conv(x, channels), below 'use nn', which has a relu behind it",
)
_otherwise("max_pool2d MaxPooling2D max_pool1d", "write max_pool(x, 2)")
_otherwise("avg_pool2d AveragePooling2D average_pool AveragePool", "write avg_pool(x, 2)")
_otherwise(
    "global_average_pool global_avg_pool GlobalAveragePooling2D adaptive_avg_pool2d",
    "write mean(x, axis = (1, 2))",
)
_otherwise("global_max_pool GlobalMaxPooling2D adaptive_max_pool2d", "write max(x, axis = (1, 2))")
_otherwise("concatenate cat hstack vstack", "write concat(a, b, axis = -1)")
_otherwise("view ravel", "write reshape(x, shape), or flatten(x)")
_otherwise("permute swapaxes moveaxis permute_dims", "write transpose(x, permutation)")
_otherwise("unsqueeze expand_dims newaxis", "write expand(x, axis)")
_otherwise("broadcast_to tile repeat expand_as", "write broadcast(x, shape)", onnx="Expand is known")
_otherwise("subtract sub minus", "write x - y")
_otherwise("multiply mul times", "write x * y")
_otherwise("neg negative", "write -x")
_otherwise("amax reduce_max", "write max(x, axis)")
_otherwise("amin reduce_min", "write min(x, axis)")
_otherwise("reduce_mean average", "write mean(x, axis)")
_otherwise("reduce_sum", "write sum(x, axis = 0)")
_otherwise("take take_along_axis embed index_select", "write embedding(table, indices)")
_otherwise("where select", _PIECES, onnx="Max, Min and Clip are known")
_otherwise("zeros_like ones_like full_like empty", "write full(shape, value)")
_otherwise("arange linspace eye tri tril triu", "array(((1, 0), (0, 1))) holds numbers that are written out")
_otherwise("xavier xavier_normal xavier_uniform glorot glorot_normal", "write glorot_uniform")
_otherwise(
    "he kaiming kaiming_normal kaiming_uniform he_uniform lecun_normal lecun_uniform variance_scaling",
    "write he_normal",
)
_otherwise("randn rand truncated_normal random_normal gaussian", "write normal(std), or uniform(low, high)")
_otherwise("rnn RNNCell SimpleRNN simple_rnn", "nn.rnn_cell(x, state) in a loop, below 'use nn'")
_otherwise(
    "self_attention multihead_attention scaled_dot_product_attention",
    "nn.multi_head_attention(x, heads, width), below 'use nn'",
)
_otherwise("unit_ball l2_ball norm_ball", "write require w in ball(1)")
_otherwise(
    "unit_sphere unit_norm normalize weight_norm",
    "write require w in sphere(1), which keeps the norm of w at 1",
)
_otherwise("nonnegative positive non_negative", "write require w in nonneg()")
_otherwise("low_rank", "write require w in rank(4)")
_otherwise("l0 sparsity topk_sparse", "write require w in sparse(8)")
_otherwise("binary ternary quantized", "write require w in levels(-1, 1)")
_otherwise("probability probabilities", "write require w in simplex()")

_MODULES = (
    *("jax", "jnp", "np", "numpy", "lax", "torch", "F", "tf", "keras", "layers", "flax", "nnx", "linen"),
    *("eqx", "equinox", "hk", "haiku", "optax", "pjc", "math", "self"),
)
"""What stands before the names of functions in Python."""


def standin(name: str, through: Sequence[str] = ()) -> StandIn | None:
    """Return what takes the place of a function that is traced, by its name or that of a caller of it.

    ``through`` are the functions that it was called in, the innermost first; the outermost that is known
    says most of what was meant. What is returned has words of jax.numpy.
    """
    for each in (*reversed(through), name):
        for part in (each, *each.split(".")[::-1]):
            found = _NAMES.get(part)
            if found is not None and found.jax is not None:
                return found
    return None


def standin_in_onnx(op: str) -> str:
    """Return what to use instead of an operator of ONNX."""
    found = _NAMES.get(op) or _folded().get(_fold(op))
    if found is not None and found.onnx is not None:
        return found.onnx
    return "docs/onnx.md lists the operators that are known; pjc.operator makes others for .pjn files"


def standin_in_language(name: str) -> StandIn | None:
    """Return what to write instead of a name that the language has not, however its words are joined.

    What is returned has words of the language.
    """
    found = _NAMES.get(name) or _folded().get(_fold(name))
    return found if found is not None and found.language is not None else None


def known_names() -> Iterable[str]:
    """Return all names that there is an entry for."""
    return _NAMES


def is_module(name: str) -> bool:
    """Return whether Python's users write this name before those of functions."""
    return name in _MODULES


@cache
def _folded() -> dict[str, StandIn]:
    return {_fold(name): each for name, each in reversed(_NAMES.items())}


def _fold(name: str) -> str:
    """Return a name as it is compared: LayerNorm, layernorm and layer_norm are one."""
    return name[:100].replace("_", "").lower()
