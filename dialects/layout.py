"""How tensors lie on a mesh of devices: the mesh, and the axes of it that split a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.dialects.builtin import ArrayAttr, IntAttr, StringAttr
from xdsl.ir import Attribute, Dialect, ParametrizedAttribute
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.axes import MESH_AXES
from pjc.dialects.shapes import Shape


@irdl_attr_definition
class MeshAttr(ParametrizedAttribute):
    """How many devices each axis of the mesh has: ``#layout.mesh<sample = 4, feature = 2, stack = 1>``."""

    name = "layout.mesh"

    sample: IntAttr
    feature: IntAttr
    stack: IntAttr

    def __init__(self, sample: int = 1, feature: int = 1, stack: int = 1) -> None:
        super().__init__(IntAttr(sample), IntAttr(feature), IntAttr(stack))

    def sizes(self) -> dict[str, int]:
        """Return the number of devices along each axis."""
        return {"sample": self.sample.data, "feature": self.feature.data, "stack": self.stack.data}

    def verify(self) -> None:
        for axis, size in self.sizes().items():
            if size < 1:
                raise VerifyException(f"mesh axis '{axis}' has at least one device, found {size}")

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(", ".join(f"{axis} = {size}" for axis, size in self.sizes().items()))

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        found: list[Attribute] = []
        with parser.in_angle_brackets():
            for axis in MESH_AXES:
                if found:
                    parser.parse_punctuation(",")
                parser.parse_keyword(axis)
                parser.parse_punctuation("=")
                found.append(IntAttr(parser.parse_integer()))
        return found


@irdl_attr_definition
class ShardingAttr(ParametrizedAttribute):
    """The mesh axes that split each dimension of a tensor: ``<[stack, sample], [], [feature]>``.

    A dimension with two axes is laid out as the loops lay out theirs: iterations are the outer part of it,
    batch rows the inner one, and each is split by its own axis.
    """

    name = "layout.sharding"

    dims: ArrayAttr[ArrayAttr[StringAttr]]

    def __init__(self, dims: Sequence[Sequence[str]]) -> None:
        super().__init__(ArrayAttr([ArrayAttr([StringAttr(axis) for axis in axes]) for axes in dims]))

    def axes(self) -> tuple[tuple[str, ...], ...]:
        """Return the axes of each dimension."""
        return tuple(tuple(axis.data for axis in dim) for dim in self.dims)

    def where(self, axis: str) -> int | None:
        """Return the dimension that an axis of the mesh splits; None if none."""
        return next((index for index, found in enumerate(self.axes()) if axis in found), None)

    def show(self) -> str:
        """Return the sharding as it is printed between angle brackets."""
        return ", ".join(f"[{', '.join(axes)}]" for axes in self.axes())

    def verify(self) -> None:
        found = [axis for axes in self.axes() for axis in axes]
        for axis in found:
            if axis not in MESH_AXES:
                raise VerifyException(f"the axes of a mesh are {', '.join(MESH_AXES)}, found '{axis}'")
            if found.count(axis) > 1:
                raise VerifyException(f"mesh axis '{axis}' splits two dimensions of one tensor")

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string(self.show())

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        def axis() -> StringAttr:
            return StringAttr(parser.parse_identifier())

        def dim() -> ArrayAttr[StringAttr]:
            return ArrayAttr(parser.parse_comma_separated_list(parser.Delimiter.SQUARE, axis))

        return [ArrayAttr(parser.parse_comma_separated_list(parser.Delimiter.ANGLE, dim))]


def verify_sharding(sharding: ShardingAttr, shape: Shape, mesh: MeshAttr | None) -> None:
    """Raise VerifyException if a tensor cannot be split so over a mesh."""
    if mesh is None:
        raise VerifyException("a tensor is sharded, but the program has no mesh")
    if len(sharding.axes()) != len(shape):
        raise VerifyException(
            f"sharding <{sharding.show()}> is not of a tensor of shape {shapes.show(shape)}"
        )
    sizes = mesh.sizes()
    for size, axes in zip(shape, sharding.axes(), strict=True):
        pieces = prod(sizes[axis] for axis in axes)
        if size % pieces:
            raise VerifyException(f"{size} entries cannot be split evenly over {pieces} devices")


LAYOUT = Dialect("layout", [], [MeshAttr, ShardingAttr])
