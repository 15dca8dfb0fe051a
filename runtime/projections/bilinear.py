"""The bilinear maps ``z = a * w`` whose projections have compressed forms: matrix products and convolutions.

A *site* is an entry of z. It holds copies of the entries of a and of w that it multiplies. What compressed
forms need is, for a number at every site, its sum or mean over all copies of an entry of a (or of w), and the
same of the number times the entry that the copy is multiplied with. Neither makes the copies. An operand may
lack axes of the sites, or have them with length 1: then its copies are at the sites along these axes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pjc.runtime.projections.sums import column_sums, matrix_product, row_sums


class Bilinear(Protocol):
    """What the compressed projections ask of a bilinear map."""

    def forward(self, a: Array, w: Array) -> Array:
        """Return z."""

    def lhs_inner(self, one: Array, other: Array) -> Array:
        """Return, for each site, the inner product of its copies of two arrays shaped as a; it broadcasts."""

    def rhs_inner(self, one: Array, other: Array) -> Array:
        """Return the same for two arrays shaped as w."""

    def lhs_sum(self, r: Array, a: Array) -> Array:
        """Return, for each entry of a, the sum of r over the sites that hold a copy of it; it broadcasts."""

    def rhs_sum(self, r: Array, w: Array) -> Array:
        """Return the same for each entry of w."""

    def lhs_back(self, s: Array, w: Array, a: Array) -> Array:
        """Return, for each entry of a, the sum over its copies of s times the entry of w beside each."""

    def rhs_back(self, s: Array, a: Array, w: Array) -> Array:
        """Return, for each entry of w, the sum over its copies of s times the entry of a beside each."""

    def lhs_mean(self, r: Array, a: Array) -> Array:
        """Return, for each entry of a, the mean of r over the sites that hold a copy of it; it broadcasts."""

    def rhs_mean(self, r: Array, w: Array) -> Array:
        """Return the same for each entry of w."""

    def lhs_weighted(self, s: Array, w: Array, a: Array) -> Array:
        """Return, for each entry of a, the mean over its copies of s times the entry of w beside each."""

    def rhs_weighted(self, s: Array, a: Array, w: Array) -> Array:
        """Return, for each entry of w, the mean over its copies of s times the entry of a beside each."""

    def lhs_copies(self, s: Array, a: Array) -> np.ndarray | int:
        """Return the number of copies of each entry of a; it broadcasts."""

    def rhs_copies(self, s: Array, w: Array) -> np.ndarray | int:
        """Return the same for each entry of w."""

    def rhs_axes(self) -> tuple[int, ...]:
        """Return the axes of w along which the entries are that one site multiplies."""

    def rows(self, s: Array) -> int:
        """Return how many rows the sites have; see dot_rows.py."""

    def framed(self, a: Array) -> Array:
        """Return a with the zeros around it that rows may hold."""

    def unframed(self, a: Array) -> Array:
        """Return what was framed."""

    def lhs_row(self, a: Array, index: Array) -> Array:
        """Return the copies of a framed a at the sites of a row, ``[*sites, entries]``; they broadcast."""

    def rhs_row(self, w: Array) -> Array:
        """Return the copies of w at the sites of any row, ``[*sites, entries]``; they broadcast."""

    def site_row(self, s: Array, index: Array) -> Array:
        """Return what stands at the sites of a row."""

    def lhs_put(self, total: Array, copies: Array, index: Array) -> Array:
        """Return a framed a to whose entries their copies in a row are added."""

    def rhs_put(self, total: Array, copies: Array) -> Array:
        """Return the same for w."""

    def site_put(self, total: Array, row: Array, index: Array) -> Array:
        """Return what stands at all sites, with a row of it replaced."""


@dataclass(frozen=True)
class MatrixProduct:
    """``z[.., k, m] = sum_n a[.., k, n] w[.., n, m]``."""

    def forward(self, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        return matrix_product(a, w)

    def lhs_inner(self, one: Array, other: Array) -> Array:
        """See :class:`Bilinear`; shape ``[.., K, 1]``."""
        return jnp.sum(one * other, axis=-1)[..., :, None]

    def rhs_inner(self, one: Array, other: Array) -> Array:
        """See :class:`Bilinear`; shape ``[.., 1, M]``."""
        return jnp.sum(one * other, axis=-2)[..., None, :]

    def lhs_sum(self, r: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return _gathered(row_sums(r), (*a.shape[:-1], 1))

    def rhs_sum(self, r: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        return _gathered(column_sums(r), (*w.shape[:-2], 1, w.shape[-1]))

    def lhs_back(self, s: Array, w: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return _gathered(_by_transpose(s, w), a.shape)

    def rhs_back(self, s: Array, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`; one product for all sites where a matrix is shared by all of them."""
        if w.ndim == 2 < a.ndim == s.ndim and a.shape[:-1] == s.shape[:-1]:
            a, s = a.reshape(-1, a.shape[-1]), s.reshape(-1, s.shape[-1])
        return _gathered(matrix_product(a, s, turned=(True, False)), w.shape)

    def lhs_mean(self, r: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.lhs_sum(r, a) / self.lhs_copies(r, a)

    def rhs_mean(self, r: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.rhs_sum(r, w) / self.rhs_copies(r, w)

    def lhs_weighted(self, s: Array, w: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.lhs_back(s, w, a) / self.lhs_copies(s, a)

    def rhs_weighted(self, s: Array, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.rhs_back(s, a, w) / self.rhs_copies(s, w)

    def lhs_copies(self, s: Array, a: Array) -> int:
        """See :class:`Bilinear`."""
        return s.size // prod(a.shape[:-1])

    def rhs_copies(self, s: Array, w: Array) -> int:
        """See :class:`Bilinear`."""
        return s.size // (prod(w.shape[:-2]) * w.shape[-1])

    def rhs_axes(self) -> tuple[int, ...]:
        """See :class:`Bilinear`."""
        return (-2,)

    def rows(self, s: Array) -> int:
        """See :class:`Bilinear`; rows of a."""
        return s.shape[-2]

    def framed(self, a: Array) -> Array:
        """See :class:`Bilinear`; as it is."""
        return a

    def unframed(self, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return a

    def lhs_row(self, a: Array, index: Array) -> Array:
        """See :class:`Bilinear`; ``[.., 1, N]``."""
        return jnp.asarray(lax.dynamic_slice_in_dim(a, index, 1, axis=-2))

    def rhs_row(self, w: Array) -> Array:
        """See :class:`Bilinear`; ``[.., M, N]``."""
        return transposed(w)

    def site_row(self, s: Array, index: Array) -> Array:
        """See :class:`Bilinear`; ``[.., M]``."""
        return jnp.asarray(lax.dynamic_index_in_dim(s, index, axis=-2, keepdims=False))

    def lhs_put(self, total: Array, copies: Array, index: Array) -> Array:
        """See :class:`Bilinear`."""
        row = _gathered(copies, (*total.shape[:-2], 1, total.shape[-1]))
        return jnp.asarray(lax.dynamic_update_slice_in_dim(total, row, index, axis=-2))

    def rhs_put(self, total: Array, copies: Array) -> Array:
        """See :class:`Bilinear`."""
        return total + _gathered(transposed(copies), total.shape)

    def site_put(self, total: Array, row: Array, index: Array) -> Array:
        """See :class:`Bilinear`."""
        return jnp.asarray(lax.dynamic_update_index_in_dim(total, row, index, axis=-2))


MATRIX = MatrixProduct()
Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """``z[b, p, q, m] = sum_ijn a[b, p s + i d - low, q s' + j d' - low', n] w[i, j, n, m]``, zeros around a.

    a is ``[batch, height, width, N]``, w ``[*window, N, M]`` and z ``[batch, P, Q, M]``. Windows are never
    cut out: sums over a window are convolutions with ones, and what is asked of a or of w is a transpose of
    the convolution, as in backpropagation, itself written as one. Every entry of a must be in some window.
    """

    image: Pair
    window: Pair
    strides: Pair
    dilation: Pair
    low: Pair
    high: Pair

    def forward(self, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        padding = list(zip(self.low, self.high, strict=True))
        return _convolved(a, w, self.strides, padding, rhs_dilation=self.dilation)

    def lhs_inner(self, one: Array, other: Array) -> Array:
        """See :class:`Bilinear`; shape ``[batch, P, Q, 1]``."""
        padding = [(0, 0), *zip(self.low, self.high, strict=True), (0, 0)]
        return self._box(row_sums(one * other), self.strides, padding)

    def rhs_inner(self, one: Array, other: Array) -> Array:
        """See :class:`Bilinear`; shape ``[M]``."""
        return jnp.sum(one * other, axis=(0, 1, 2))

    def lhs_sum(self, r: Array, a: Array) -> Array:
        """See :class:`Bilinear`; shape ``[batch, height, width, 1]``."""
        config = [(0, 0, 0), *(self._spread_out(axis, r.shape[axis + 1]) for axis in range(2)), (0, 0, 0)]
        summed = lax.pad(row_sums(r), jnp.zeros((), r.dtype), config)
        return self._box(summed, (1, 1), "VALID")

    def rhs_sum(self, r: Array, w: Array) -> Array:
        """See :class:`Bilinear`; shape ``[M]``."""
        return column_sums(r.reshape(-1, r.shape[-1]))[0]

    def lhs_back(self, s: Array, w: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        padding = [self._spread_out(axis, s.shape[axis + 1])[:2] for axis in range(2)]
        turned = jnp.swapaxes(w[::-1, ::-1], 2, 3)
        return _convolved(s, turned, (1, 1), padding, lhs_dilation=self.strides, rhs_dilation=self.dilation)

    def rhs_back(self, s: Array, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        padding = list(zip(self.low, self.high, strict=True))
        images, sites = jnp.transpose(a, (3, 1, 2, 0)), jnp.transpose(s, (1, 2, 0, 3))
        back = _convolved(images, sites, self.dilation, padding, rhs_dilation=self.strides)
        return jnp.transpose(back, (1, 2, 0, 3))

    def lhs_mean(self, r: Array, a: Array) -> Array:
        """See :class:`Bilinear`; shape ``[batch, height, width, 1]``."""
        return self.lhs_sum(r, a) / self.lhs_copies(r, a)

    def rhs_mean(self, r: Array, w: Array) -> Array:
        """See :class:`Bilinear`; shape ``[M]``."""
        return self.rhs_sum(r, w) / self.rhs_copies(r, w)

    def lhs_weighted(self, s: Array, w: Array, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.lhs_back(s, w, a) / self.lhs_copies(s, a)

    def rhs_weighted(self, s: Array, a: Array, w: Array) -> Array:
        """See :class:`Bilinear`."""
        return self.rhs_back(s, a, w) / self.rhs_copies(s, w)

    def lhs_copies(self, s: Array, a: Array) -> np.ndarray:
        """See :class:`Bilinear`; shape ``[height, width, 1]``."""
        rows, columns = (self._axis_copies(axis, s.shape[axis + 1]) for axis in range(2))
        return np.asarray(rows[:, None, None] * columns[:, None] * s.shape[3], s.dtype)

    def rhs_copies(self, s: Array, w: Array) -> int:
        """See :class:`Bilinear`."""
        return prod(s.shape[:-1])

    def rhs_axes(self) -> tuple[int, ...]:
        """See :class:`Bilinear`."""
        return (0, 1, 2)

    def rows(self, s: Array) -> int:
        """See :class:`Bilinear`; places of the window."""
        return s.shape[1] * s.shape[2]

    def framed(self, a: Array) -> Array:
        """See :class:`Bilinear`."""
        return jnp.pad(a, ((0, 0), *zip(self.low, self.high, strict=True), (0, 0)))

    def unframed(self, a: Array) -> Array:
        """See :class:`Bilinear`."""
        (top, left), (height, width) = self.low, self.image
        return a[:, top : top + height, left : left + width]

    def lhs_row(self, a: Array, index: Array) -> Array:
        """See :class:`Bilinear`; ``[batch, 1, entries]``."""
        steps = self.dilation
        window = lax.dynamic_slice(a, self._corner(a, index), self._span(a))[:, :: steps[0], :: steps[1]]
        return window.reshape(a.shape[0], 1, -1)

    def rhs_row(self, w: Array) -> Array:
        """See :class:`Bilinear`; ``[M, entries]``."""
        return transposed(w.reshape(-1, w.shape[-1]))

    def site_row(self, s: Array, index: Array) -> Array:
        """See :class:`Bilinear`; ``[batch, M]``."""
        return jnp.asarray(lax.dynamic_index_in_dim(_places(s), index, axis=1, keepdims=False))

    def lhs_put(self, total: Array, copies: Array, index: Array) -> Array:
        """See :class:`Bilinear`."""
        one = jnp.sum(copies, axis=1).reshape(total.shape[0], *self.window, total.shape[3])
        apart = [(0, 0, step - 1) for step in self.dilation]
        one = lax.pad(one, jnp.zeros((), one.dtype), [(0, 0, 0), *apart, (0, 0, 0)])
        corner = self._corner(total, index)
        return jnp.asarray(
            lax.dynamic_update_slice(total, lax.dynamic_slice(total, corner, one.shape) + one, corner)
        )

    def rhs_put(self, total: Array, copies: Array) -> Array:
        """See :class:`Bilinear`."""
        return total + transposed(jnp.sum(copies, axis=0)).reshape(total.shape)

    def site_put(self, total: Array, row: Array, index: Array) -> Array:
        """See :class:`Bilinear`."""
        return jnp.asarray(
            lax.dynamic_update_index_in_dim(_places(total), row, index, axis=1).reshape(total.shape)
        )

    def _span(self, a: Array) -> tuple[int, ...]:
        """Return the shape of what a window reaches over in a framed a."""
        reach = ((size - 1) * step + 1 for size, step in zip(self.window, self.dilation, strict=True))
        return (a.shape[0], *reach, a.shape[3])

    def _corner(self, a: Array, index: Array) -> tuple[Array | int, ...]:
        """Return where the window of a row begins in a framed a."""
        across = (a.shape[2] - self._span(a)[2]) // self.strides[1] + 1
        return 0, index // across * self.strides[0], index % across * self.strides[1], 0

    def _box(self, x: Array, strides: Pair, padding: str | Sequence[Pair]) -> Array:
        """Return the sums over windows."""
        zero = np.zeros((), x.dtype)
        steps, dilation = (1, *strides, 1), (1, *self.dilation, 1)
        window = (1, *self.window, 1)
        return jnp.asarray(
            lax.reduce_window(x, zero, lax.add, window, steps, padding, window_dilation=dilation)
        )

    def _spread_out(self, axis: int, sites: int) -> tuple[int, int, int]:
        """Return how to pad sites, outside and between, so that a window is over those that read an entry."""
        reach = (self.window[axis] - 1) * self.dilation[axis]
        span = (sites - 1) * self.strides[axis] + 1
        return reach - self.low[axis], self.image[axis] + self.low[axis] - span, self.strides[axis] - 1

    def _axis_copies(self, axis: int, sites: int) -> np.ndarray:
        """Return how many of the windows of so many sites along one axis hold each entry of a."""
        places = np.arange(self.window[axis]) * self.dilation[axis] - self.low[axis]
        read = (np.arange(sites)[:, None] * self.strides[axis] + places).ravel()
        inside = read[(read >= 0) & (read < self.image[axis])]
        return np.bincount(inside, minlength=self.image[axis])


def _convolved(
    x: Array,
    kernel: Array,
    strides: Pair,
    padding: Sequence[Pair],
    *,
    lhs_dilation: Pair = (1, 1),
    rhs_dilation: Pair = (1, 1),
) -> Array:
    """Return a convolution in the one layout that XLA's CPU compiler is fast at inside of a loop.

    In the entry computation it brings others to this one; in a loop they take ten to thirty times as long.
    """
    made = lax.conv_general_dilated(
        x, kernel, strides, padding, lhs_dilation, rhs_dilation, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.asarray(made)


def _convolution(fields: dict[str, Any], a: Array, w: Array) -> Bilinear:
    (height, width), window = a.shape[1:3], w.shape[:2]
    return Convolution((height, width), (window[0], window[1]), **fields)


BILINEAR: dict[str, Callable[[dict[str, Any], Array, Array], Bilinear]] = {
    "dot": lambda fields, a, w: MATRIX,
    "convolution": _convolution,
}
"""The operators that :func:`bilinear` knows, each with the map for its fields and operands."""


def bilinear(operator: str, fields: dict[str, Any], a: Array, w: Array) -> Bilinear:
    """Return the map of an operator on operands of these shapes."""
    return BILINEAR[operator](fields, a, w)


def _by_transpose(s: Array, w: Array) -> Array:
    """Return ``s @ transposed(w)``.

    XLA's CPU compiler reads w with strides for this, or copies it; ``w @ transposed(s)``, transposed, asks
    that of s alone, which is the smaller one where samples are fewer than columns. The barrier keeps the
    compiler from making the one of the other.
    """
    if s.shape[-2] > w.shape[-1]:
        return matrix_product(s, w, turned=(False, True))
    return transposed(lax.optimization_barrier(matrix_product(w, s, turned=(False, True))))


def transposed(x: Array) -> Array:
    """Return x with its last two axes swapped."""
    return jnp.swapaxes(x, -1, -2)


def _places(s: Array) -> Array:
    """Return what stands at the sites of a convolution with one axis for all places."""
    return s.reshape(s.shape[0], -1, s.shape[3])


def _gathered(x: Array, shape: tuple[int, ...]) -> Array:
    """Return x summed over the axes that the shape lacks in front, or has with length 1."""
    if x.ndim > len(shape):
        x = jnp.sum(x, axis=tuple(range(x.ndim - len(shape))))
    along = tuple(axis for axis, size in enumerate(shape) if size == 1 != x.shape[axis])
    return jnp.sum(x, axis=along, keepdims=True) if along else x


def site_inner(product: Bilinear, one: tuple[Array, Array], other: tuple[Array, Array]) -> Array:
    """Return, for each site, the inner product of its copies of two pairs of operands."""
    return _apart(product.lhs_inner(one[0], other[0])) + _apart(product.rhs_inner(one[1], other[1]))


def _apart(sums: Array) -> Array:
    """Return sums as they are, in a way that keeps XLA's CPU compiler from adding others to them as it sums.

    It would write the sums of all rows and columns out, ``[.., K, M]``: an eighth of the time of 32 layers.
    """
    return jnp.maximum(sums, jnp.finfo(sums.dtype).min)
