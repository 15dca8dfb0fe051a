"""xDSL's parser, but that integers which their types do not hold are refused, as in MLIR's arrays.

xDSL takes 200 for an i8, as the bits of an unsigned number, and keeps -56. It prints letters
that are not ASCII as escapes, and takes such a text for bytes.
"""

from __future__ import annotations

from typing import Any

from xdsl.dialects.builtin import (
    DenseIntOrFPElementsAttr,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    Signedness,
)
from xdsl.ir import Attribute, Operation
from xdsl.parser import Parser
from xdsl.utils.mlir_lexer import MLIRTokenKind, StringLiteral


class ExactParser(Parser):
    """Parses a text; an integer that would be changed by its type is a ParseError at its place."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: dict[Operation, tuple[int, int]] = {}
        """Where the first word of each operation begins and ends in the text."""

    _number: int | float | None = None
    """The number that was parsed last."""

    def parse_operation(self) -> Operation:
        """Parse an operation, and remember where it stands."""
        span = self._current_token.span
        found = super().parse_operation()
        self.places[found] = span.start, span.end
        return found

    def parse_optional_number(self, *, allow_boolean: bool = False) -> int | float | None:
        """Parse a number and remember it."""
        self._number = super().parse_optional_number(allow_boolean=allow_boolean)
        return self._number

    def parse_optional_str_literal(self) -> str | None:
        """Parse a text; bytes that are UTF-8 are one."""
        token = self._current_token
        if token.kind is not MLIRTokenKind.BYTES_LIT:
            return super().parse_optional_str_literal()
        try:
            text = StringLiteral.from_span(token.span).bytes_contents.decode()
        except UnicodeDecodeError:
            return None
        self.parse_bytes_literal()
        return text

    def parse_optional_builtin_int_or_float_attr(self) -> IntegerAttr | FloatAttr | None:
        """Parse a number with its type, such as ``3 : i32``."""
        start = self.pos
        self._number = None
        found = super().parse_optional_builtin_int_or_float_attr()
        if isinstance(found, IntegerAttr):
            self._require_fitting(self._number, found.type, start, self.pos)
        return found

    def _parse_typed_integer(self, type: IntegerType, *args: Any, **kwargs: Any) -> int:
        """Parse an entry of a dense array."""
        start = self.pos
        found = super()._parse_typed_integer(type, *args, **kwargs)
        self._require_fitting(found, type, start, self.pos)
        return found

    def _parse_tensor_literal_element(self) -> Any:
        """Parse an entry of a dense tensor, whose type follows, and remember it."""
        found = super()._parse_tensor_literal_element()
        self._entries.append(found)
        return found

    def parse_dense_int_or_fp_elements_attr(self, type: Any) -> DenseIntOrFPElementsAttr[Any]:
        """Parse a dense tensor."""
        self._entries: list[Any] = []
        found = super().parse_dense_int_or_fp_elements_attr(type)
        for each in self._entries:
            self._require_fitting(each.value, found.get_element_type(), each.span.start, each.span.end)
        return found

    def _require_fitting(self, value: object, type: Attribute, start: int, end: int) -> None:
        """Raise ParseError for an integer that a signless type, other than i1, would change."""
        if isinstance(value, bool) or not isinstance(value, int) or not isinstance(type, IntegerType):
            return
        width = type.width.data
        if type.signedness.data is not Signedness.SIGNLESS or width == 1:
            return
        low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
        if not low <= value <= high:
            self.raise_error(f"the integer {value} does not fit into {type}: {low} to {high}", start, end)
