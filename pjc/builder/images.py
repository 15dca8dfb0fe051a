"""Convolutions and pools of images, tensors of ``[batch, height, width, channels]``."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

from pjc.builder.arithmetic import Arithmetic
from pjc.builder.place import Axes, several
from pjc.builder.values import Tensor
from pjc.dialects import ops
from pjc.dialects.shapes import ShapeError, covered

Padding: TypeAlias = str | Sequence[tuple[int, int]]
"""SAME, VALID, or a pair (before, after) for height and for width."""


class Images(Arithmetic):
    """Builds operations on images from views, dots and maxima."""

    def conv2d(
        self,
        x: Tensor,
        weight: Tensor,
        strides: Axes = 1,
        padding: Padding = "SAME",
        dilation: Axes = 1,
        groups: int = 1,
    ) -> Tensor:
        """Return a convolution by a weight of ``[height, width, channels // groups, results]``.

        SAME makes ``ceil(size / stride)`` positions, with the odd zero at the end.
        """
        _check_image("conv2d", x)
        if groups < 1 or x.shape[3] % groups:
            raise ShapeError(
                f"conv2d needs groups that divide the {x.shape[3]} channels of {x}, found {groups}"
            )
        channels = x.shape[3] // groups
        if weight.rank != 4 or weight.shape[2] != channels or weight.shape[3] % groups:
            multiple = "channels" if groups == 1 else f"a multiple of {groups}"
            raise ShapeError(
                f"conv2d takes a weight of [height, width, {channels}, {multiple}] for {x}, found {weight}"
            )
        steps, apart = _pair("strides", strides), _pair("dilation", dilation)
        *window, _, out = weight.shape
        margins = _margins(padding, x.shape[1:3], _reach(window, apart), steps)
        cut = self._windows(self.pad(x, [(0, 0), *margins, (0, 0)]), window, steps, apart)
        entries = prod(window) * channels
        if groups == 1:
            rows = self.reshape(cut, (-1, entries))
            product = self.matmul(rows, self.reshape(weight, (entries, out)))
        else:
            split = self.reshape(cut, (prod(cut.shape[:3]), prod(window), groups, channels))
            rows = self.reshape(self.transpose(split, (2, 0, 1, 3)), (groups, -1, entries))
            columns = self.transpose(self.reshape(weight, (entries, groups, out // groups)), (1, 0, 2))
            product = self.transpose(self.matmul(rows, columns), (1, 0, 2))
        result = self.reshape(product, (*cut.shape[:3], out))
        return Tensor(result.ssa, (x.names[0], None, None, weight.names[3]))

    def max_pool(self, x: Tensor, window: Axes, strides: Axes | None = None, dilation: Axes = 1) -> Tensor:
        """Return the largest entries of windows, which do not overlap unless ``strides`` says so."""
        return self._reduce(ops.MaxOp, [self._pool("max_pool", x, window, strides, dilation)], (3, 4))

    def avg_pool(self, x: Tensor, window: Axes, strides: Axes | None = None, dilation: Axes = 1) -> Tensor:
        """Return the means of windows, which do not overlap unless ``strides`` says so."""
        cut = self._pool("avg_pool", x, window, strides, dilation)
        return self.weighted([cut], [1 / prod(_pair("window", window))], axis=(3, 4))

    def _pool(self, name: str, x: Tensor, window: Axes, strides: Axes | None, dilation: Axes) -> Tensor:
        _check_image(name, x)
        size = _pair("window", window)
        steps = size if strides is None else _pair("strides", strides)
        return self._windows(x, size, steps, _pair("dilation", dilation))

    def _windows(
        self, x: Tensor, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
    ) -> Tensor:
        """Return ``[batch, rows, columns, height, width, channels]``, the windows of an image."""
        return self.patches(x, (1, 2), window, strides, dilation)


def _check_image(name: str, x: Tensor) -> None:
    if x.rank != 4:
        raise ShapeError(f"{name} takes a tensor of [batch, height, width, channels], found {x}")


def _pair(what: str, given: Axes) -> tuple[int, int]:
    """Return a number for height and for width, given both or one for both."""
    found = several(given)
    both = found * 2 if len(found) == 1 else found
    if len(both) != 2 or min(both) < 1:
        raise ShapeError(f"{what} must be one or two positive integers, found {found}")
    return both[0], both[1]


def _reach(window: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Return the height and width that a window covers."""
    return tuple(map(covered, window, dilation))


def _margins(
    padding: Padding, shape: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Return what is put before and after height and width."""
    if padding == "VALID":
        return [(0, 0), (0, 0)]
    if not isinstance(padding, str):
        return list(padding)
    if padding != "SAME":
        raise ShapeError(f"padding is SAME, VALID or two pairs of numbers, found '{padding}'")
    found = []
    for size, reach, stride in zip(shape, window, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        found.append((total // 2, total - total // 2))
    return found
