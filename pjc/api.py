"""The way in for Python programs: ``pjc.compile``, ``pjc.trace``, ``pjc.network`` and ``pjc.load``."""

from __future__ import annotations

import functools
import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

from pjc.diagnostics import mistake
from pjc.driver import Compilation, loaded
from pjc.fields import options_of, require_known
from pjc.options import Options
from pjc.runtime.outer_settings import is_transformation
from pjc.runtime.program import Program
from pjc.sources import FunctionSource, Source, source_of

if TYPE_CHECKING:
    from pjc.builder import Network
    from pjc.tracing.program import TracedProgram

P = ParamSpec("P")
R = TypeVar("R")
Given: TypeAlias = "Source | Network | str | Path"
"""A source, a network that was built, the path of a file, or the text of a network, of several lines."""


def _with_options(
    make: Callable[P, Options],
) -> Callable[[Callable[[Given, Options], R]], Callable[Concatenate[Given, P], R]]:
    """Let a function of a source and options take the fields of ``make``, a class of options, as keywords."""
    cls = cast(type[Options], make)

    def decorate(function: Callable[[Given, Options], R]) -> Callable[Concatenate[Given, P], R]:
        @functools.wraps(function)
        def wrapper(source: Given, *args: P.args, **kwargs: P.kwargs) -> R:
            if args:
                raise mistake(f"options are given by name, found {args[0]!r}", "as in batch=64")
            require_known(cls, kwargs)
            return function(source, make(*args, **kwargs))

        wrapper.__doc__ = (function.__doc__ or "").replace(_PLACE, _told(cls))
        wrapper.__signature__ = _signature(function, cls)  # type: ignore[attr-defined]
        return wrapper  # type: ignore[return-value]  # of the same call, but that ``source`` has a name

    return decorate


_PLACE = "the fields of :class:`Options`, as keywords."


def _told(cls: type[Options]) -> str:
    """Return what the options are, as lines of a docstring's list of arguments."""
    lines = [f"    {each.name}: {each.help}; {each.kind.wanted}." for each in options_of(cls)]
    wrapped = [textwrap.fill(line, 100, subsequent_indent=" " * 16) for line in lines]
    return "\n        ".join([_PLACE, "", *wrapped])


def _signature(function: Callable[..., Any], cls: type[Options]) -> inspect.Signature:
    """Return the signature of a function with every option as a keyword of its own."""
    own = inspect.signature(function)
    first = next(iter(own.parameters.values()))
    types = cls.__dataclass_fields__
    keywords = [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name].type
        )
        for each in options_of(cls)
    ]
    return own.replace(parameters=[first, *keywords])


@_with_options(Options)
def compile(source: Given, options: Options) -> Program:
    """Return the compiled solver of a network.

    Args:
        source: the path of a ``.pjn``, ``.onnx`` or IR file, ``FILE.py:NAME`` (the file is run), a network's
            text itself (of several lines), a ``pjc.builder.Network``, or what :func:`network` returns.
        options: the fields of :class:`Options`, as keywords.

    Raises:
        DiagnosticError: for every mistake in the source, each with its place; and for wrong options.
    """
    return Compilation(source_of(source), options).program()


def trace(
    fn: Callable[..., Any],
    params: Any,
    *inputs: Any,
    loss: Any = None,
    sets: Mapping[str, Any] | None = None,
    name: str | None = None,
    **options: Any,
) -> TracedProgram:
    """Return the compiled solver of a function of ``jax.numpy``, which is read, not run.

    Args:
        fn: called as ``fn(params, *inputs)`` by JAX, on shapes alone; it returns an array of
            ``[batch, ...]``, or a tree of them.
        params: any tree of arrays, or of ``jax.ShapeDtypeStruct``; training starts from the arrays. Numbers
            with fractions are parameters, whole numbers and keys are left as they are.
        inputs: for each input ``pjc.f32["batch", 784]``, a ``jax.ShapeDtypeStruct`` (its sizes may be
            symbolic), or an array like those to come, whose first size is taken for the batch. Of whole
            numbers they are rows of tables.
        loss: what training requires of the output, as ``pjc.cross_entropy()``; of several outputs a list in
            their order, or a dict by their names in what is returned (``"a.b"`` in nested ones).
            ``pjc.require(value, loss)`` inside of the function asks for others. Targets of classes have the
            output's shape without its last axis, others have all of it.
        sets: sets of parameters by path, as ``{"layers[0].weight": pjc.levels(-1, 0, 1)}``; ``*`` stands for
            anything.
        name: what the network is called; by default what the function is.
        options: the fields of :class:`Options`, as keywords. Without ``dtype`` it is f64 where a parameter is
            float64, else f32.

    Returns:
        A program whose parameters are trees like ``params``.

    Raises:
        DiagnosticError: if equations have no projection, one error that names each of them with its line and
            what to use instead; if the function raises; for wrong arguments, and unknown options.
    """
    from pjc.tracing.program import TracedProgram
    from pjc.tracing.trace import traced

    require_known(Options, options)
    found = traced(fn, params, inputs, loss, sets, name)
    source = FunctionSource.of(found)
    given = Options(**{"dtype": "f64" if found.is_wide else "f32", **options})
    return TracedProgram(Compilation(source, given).program(), found, source)


def network(
    fn: Callable[..., Any],
    params: Any,
    *inputs: Any,
    loss: Any = None,
    sets: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> Source:
    """Return a function of ``jax.numpy`` as a network that is not compiled yet.

    :func:`compile` takes it, and the command line as ``FILE.py:NAME``. Arguments and errors as :func:`trace`;
    what is compiled of it has its parameters by the names of the text.
    """
    from pjc.tracing.trace import traced

    return FunctionSource.of(traced(fn, params, inputs, loss, sets, name))


def load(path: str | Path, outer: Any = None) -> Program:
    """Return the program of a ``.pjx`` file. Nothing in the file is executed.

    Args:
        path: the file.
        outer: an optax transformation that takes the place of the file's outer step, or is the one that the
            network was compiled with: files hold those that are known by name alone.

    Raises:
        pjc.runtime.artifact.ArtifactError: if the file is missing, truncated, altered, or of another format.
    """
    if not isinstance(path, str | os.PathLike):
        raise mistake(f"load takes the path of a .pjx file, found {type(path).__name__}")

    if outer is not None and not is_transformation(outer):
        raise mistake(f"load takes an optax transformation as outer, found {type(outer).__name__}")
    return loaded(path, outer)
