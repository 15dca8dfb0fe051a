"""Operators on constants: numbers, tuples of numbers, and scaled initializers."""

from __future__ import annotations

from pjc.builder.values import LoopIndex
from pjc.frontends.values import Init, Mistake, Value, describe, finite, joined


def apply(operator: str, left: Value, right: Value) -> Value:
    """Return ``left operator right`` for constants, or raise Mistake."""
    if isinstance(left, tuple) and isinstance(right, tuple) and operator == "+":
        return joined(left + right)
    if isinstance(left, Init) and isinstance(right, int | float) and operator in "*/":
        return _scaled(left, operator, right)
    if isinstance(right, Init) and isinstance(left, int | float) and operator == "*":
        return _scaled(right, operator, left)
    if isinstance(left, LoopIndex) and isinstance(right, int):
        return left.moved(operator, right)
    if isinstance(right, LoopIndex) and isinstance(left, int) and operator in "+*":
        return right.moved(operator, left)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        wrong = right if isinstance(left, int | float) else left
        takes = "tensors" if operator == "@" else "numbers"
        raise Mistake(f"'{operator}' takes {takes}, found {describe(wrong)}")
    return _numbers(operator, left, right)


def negative(value: Value) -> Value:
    """Return ``-value`` for constants, or raise Mistake."""
    if isinstance(value, Init):
        return Init(value.kind, value.arguments, -value.scale)
    if isinstance(value, int | float):
        return -value
    raise Mistake(f"'-' takes a number, found {describe(value)}")


def _scaled(init: Init, operator: str, by: int | float) -> Init:
    scale = _numbers(operator, init.scale, by)
    return Init(init.kind, init.arguments, float(scale))


def _numbers(operator: str, left: int | float, right: int | float) -> int | float:
    try:
        match operator:
            case "+":
                return finite(left + right)
            case "-":
                return finite(left - right)
            case "*":
                return finite(left * right)
            case "/":
                return finite(left / right)
            case "//":
                return finite(left // right)
    except ZeroDivisionError:
        raise Mistake("division by zero") from None
    except OverflowError:
        raise Mistake("this number is too large") from None
    raise Mistake(f"'{operator}' takes tensors, found the number {left}")
