"""Where samples that are images have their channels: in the data, and in the network."""

from __future__ import annotations

from .errors import DataError
from .parts import CHANNELS_FIRST, CHANNELS_LAST

Shape = tuple[int, ...]


def layout_of(channels: int | None) -> str | None:
    """Return the layout of an input that counts channels along an axis; None where nothing tells the axis."""
    return None if channels is None else CHANNELS_FIRST if channels == 1 else CHANNELS_LAST


def _other(layout: str) -> str:
    """Return the layout that is not the given one."""
    return CHANNELS_LAST if layout == CHANNELS_FIRST else CHANNELS_FIRST


def require_known(channels: int | None, name: str) -> None:
    """Raise DataError where a layout of the data says nothing, as that of the input ``name`` is not known."""
    if channels is None:
        raise DataError(
            "--layout is for networks that tell which axis counts channels, and no convolution or pool reads "
            f"{name!r} as images; leave it out, and give samples as {name!r} takes them"
        )


def order_from(layout: str, rank: int) -> tuple[int, ...]:
    """Return the order of a sample's axes that brings it from a layout to the other one."""
    return (rank - 1, *range(rank - 1)) if layout == CHANNELS_LAST else (*range(1, rank), 0)


def stored_shape(shape: Shape, channels: int | None, layout: str | None) -> Shape:
    """Return the shape that a sample of a network has in data of a layout; as it is if one is not known."""
    own = layout_of(channels)
    if own is None or layout in (None, own):
        return shape
    return tuple(shape[axis] for axis in order_from(own, len(shape)))


def layout_between(found: Shape, expected: Shape, channels: int | None) -> str | None:
    """Return the layout from which samples of the shape found have the one expected, in the other layout.

    None where neither has, or, as nothing tells the axis of channels, rows and columns may be meant.
    """
    own = layout_of(channels)
    if own is None and len(found) < 3:
        return None
    for layout in (CHANNELS_LAST, CHANNELS_FIRST) if own is None else (_other(own),):
        if tuple(found[axis] for axis in order_from(layout, len(found))) == expected:
            return layout
    return None
