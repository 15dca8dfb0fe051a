"""What holds of the names and dimensions that a network, a problem or a program declares."""

from __future__ import annotations

from collections.abc import Iterable

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.blame import BrokenRule, blaming
from pjc.dialects.nodes import IndexOp, InputOp, OutputOp, SourceOp, TargetOp, operator_of
from pjc.dialects.view import shape_of, unknown
from pjc.numerals import is_whole


def verify_dims(dims: DictionaryAttr) -> None:
    """Raise VerifyException unless every dimension has a size from 1."""
    for name, size in dims.data.items():
        if not isinstance(size, IntegerAttr) or size.value.data < 1:
            raise VerifyException(f"dimension '{name}' is a whole number from 1, found {size}")


def verify_sources(dims: DictionaryAttr, sources: Iterable[SourceOp]) -> None:
    """Raise VerifyException unless what is given from outside is named once, and sized as its dimensions say.

    A target that has an input's name is that input, as a loss that compares with it reads it.
    """
    given: dict[str, SourceOp] = {}
    for source in sources:
        label = source.label.data
        other = given.setdefault(label, source)
        with blaming(source):
            if not label:
                raise VerifyException(f"'{source.name}' has an empty name")
            if other is not source and not _same(other, source):
                raise VerifyException(
                    f"'{label}' is declared twice, as {_kind(other)} and as {_kind(source)}"
                )
            _verify_sizes(dims, source)


def _same(one: SourceOp, other: SourceOp) -> bool:
    clones = isinstance(one, InputOp | IndexOp) and type(one) is type(other)
    compared = isinstance(one, TargetOp) != isinstance(other, TargetOp)
    return (clones or compared) and one.result.type == other.result.type


def _kind(source: SourceOp) -> str:
    return f"{operator_of(type(source))} of {source.result.type}"


def _verify_sizes(dims: DictionaryAttr, source: SourceOp) -> None:
    shape = shape_of(source.result)
    names = [] if source.dims is None or unknown(shape) else [each.data for each in source.dims]
    for name, size in zip(names, shape, strict=False):
        known = dims.data.get(name)
        said = known.value.data if isinstance(known, IntegerAttr) else None
        if is_whole(name):
            said = int(name)
        if said is None:
            raise VerifyException(f"'{source.label.data}' has a dimension '{name}', which has no size")
        if said != size:
            raise VerifyException(
                f"'{source.label.data}' has {size} entries along '{name}', and the dimension is {said}"
            )


def verify_outputs(outputs: Iterable[OutputOp]) -> None:
    """Raise VerifyException if two outputs have one name, or one has none."""
    seen: set[str] = set()
    for output in outputs:
        if not output.label.data:
            raise BrokenRule("an output has an empty name", output)
        if output.label.data in seen:
            raise BrokenRule(f"there are two outputs '{output.label.data}'", output)
        seen.add(output.label.data)
