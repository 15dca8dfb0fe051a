"""That Python code calls a network's methods with what they take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pjc.builder.place import Place
from pjc.builder.values import Tensor
from pjc.dialects.shapes import ShapeError

PlaceT = TypeVar("PlaceT", bound=type[Place])
_KINDS: dict[str, tuple[type, str]] = {"Tensor": (Tensor, "a tensor of the network"), "str": (str, "a text")}
_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError)


def checked(cls: PlaceT) -> PlaceT:
    """Let the public methods of a class, inherited ones too, raise ShapeError for what they do not take.

    A parameter that is said to be a tensor or a text takes nothing else. What else a method cannot work with
    shows where it fails; for calls from a frontend, which checks what it passes on, that is a fault of pjc.
    """
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            setattr(cls, name, _checked(name, method))
    return cls


def _checked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def wrapper(self: Place, *args: Any, **kwargs: Any) -> Any:
        if not self.emitter.strict:
            return method(self, *args, **kwargs)
        try:
            given = signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise ShapeError(f"{name}: {error}") from None
        for parameter, annotation, value in _each(signature, given):
            kind, called = _KINDS.get(annotation, (object, ""))
            if not isinstance(value, kind):
                raise ShapeError(f"{name}: '{parameter}' is {called}, found {repr(value)[:80]}")
        try:
            return method(self, *args, **kwargs)
        except _FAULTS as error:
            if any(inspect.isroutine(each) for each in given.arguments.values()):
                raise  # what is called back may fail for reasons of its own
            raise ShapeError(f"{name} cannot take these arguments: {error}") from error

    return wrapper


def _each(signature: inspect.Signature, given: inspect.BoundArguments) -> Iterator[tuple[str, str, Any]]:
    """Give the arguments, with their parameters' names and annotations."""
    for name, value in given.arguments.items():
        parameter = signature.parameters[name]
        several = value if parameter.kind is parameter.VAR_POSITIONAL else [value]
        yield from ((name, str(parameter.annotation), each) for each in several)
