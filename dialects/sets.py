"""The sets that values can be required to be in: what each is called, what describes it, and when that fits.

Each is declared once: the language has a function with these arguments, Python one of the same name, the IR
these fields, and the class of the same name in ``pjc.runtime.projections`` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

from pjc.dialects.set_kinds import Argument, Kind, SetKind, Values
from pjc.dialects.shapes import Shape, show


def _box(values: Values, shape: Shape) -> str | None:
    if values["low"] > values["high"]:
        return f"box needs low <= high, found low = {values['low']:g} and high = {values['high']:g}"
    return None


def _sparse(values: Values, shape: Shape) -> str | None:
    size = prod(shape[axis] for axis in values["axes"])
    if not 1 <= values["k"] <= size:
        return (
            f"sparse needs a k from 1 to {size}, the entries of a vector of {show(shape)}; "
            f"found {values['k']}"
        )
    return None


def _rank(values: Values, shape: Shape) -> str | None:
    if len(shape) < 2:
        return f"a rank is one of matrices, and the tensor's shape is {show(shape)}"
    if not 1 <= values["rank"] <= min(shape[-2:]):
        return f"rank needs a number from 1 to {min(shape[-2:])} for {show(shape)}, found {values['rank']}"
    return None


def _of_vectors(name: str, shape: Shape, values: Values) -> str | None:
    """Say what is wrong with an array whose last axis is a vector of the tensor."""
    own, size = tuple(values[f"{name}_shape"]), prod(shape[axis] for axis in values["axes"])
    if not own or own[-1] != size:
        return f"the {name} has the shape {show(own)}, and a vector of {show(shape)} has {size} entries"
    return None


def _halfspace(values: Values, shape: Shape) -> str | None:
    problem = _of_vectors("normal", shape, values)
    if problem is None and (len(values["normal_shape"]) > 1 or not any(values["normal"])):
        return "halfspace needs a normal that is one vector, and not 0"
    return problem


def _affine(values: Values, shape: Shape) -> str | None:
    problem = _of_vectors("matrix", shape, values)
    if problem is not None:
        return problem
    rows = len(values["matrix"]) // values["matrix_shape"][-1]
    own = tuple(values["value_shape"])
    if len(values["matrix_shape"]) > 2 or own not in ((), (rows,)):
        return (
            "affine needs a matrix and a value for each of its rows, found "
            f"{show(values['matrix_shape'])} and {show(own)}"
        )
    wanted = list(values["value"]) * (1 if own else rows)
    return None if _solvable(values["matrix"], wanted) else "affine needs equations that have a solution"


def _solvable(matrix: Sequence[float], value: Sequence[float]) -> bool:
    """Return whether ``A v = b`` has a solution, by elimination in whole fractions."""
    width = len(matrix) // len(value)
    rows = [[*map(Fraction, matrix[i * width : (i + 1) * width]), Fraction(b)] for i, b in enumerate(value)]
    for column in range(width):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        for row in rows:
            factor = row[column] / pivot[column]
            if factor:
                row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
    return not any(row[-1] for row in rows)


def _monotone(values: Values, shape: Shape) -> str | None:
    if abs(values["order"]) != 1:
        return f"monotone needs an order of 1, rising, or -1, falling; found {values['order']:g}"
    return None


def _group_sparse(values: Values, shape: Shape) -> str | None:
    size = prod(shape[axis] for axis in values["axes"])
    groups, rest = divmod(size, values["group"])
    if rest:
        return f"group_sparse needs a multiple of {values['group']} entries, found {size} in {show(shape)}"
    if values["k"] > groups:
        return f"group_sparse needs a k from 1 to {groups}, the groups of a vector; found {values['k']}"
    return None


def _nm_sparse(values: Values, shape: Shape) -> str | None:
    size = prod(shape[axis] for axis in values["axes"])
    if values["n"] > values["m"]:
        return f"nm_sparse needs n <= m, found {values['n']} and {values['m']}"
    if size % values["m"]:
        return f"nm_sparse needs a multiple of {values['m']} entries, found {size} in {show(shape)}"
    return None


def _powers_of_two(values: Values, shape: Shape) -> str | None:
    if not -120 <= values["low"] <= values["high"] <= 120:
        return (
            f"powers_of_two needs exponents low <= high from -120 to 120, found {values['low']} and "
            f"{values['high']}"
        )
    return None


def _matrices(values: Values, shape: Shape) -> str | None:
    return None if len(shape) > 1 else f"it is a set of matrices, and the tensor's shape is {show(shape)}"


def _square(values: Values, shape: Shape) -> str | None:
    if len(shape) > 1 and shape[-1] == shape[-2]:
        return None
    return f"it is a set of square matrices, and the tensor's shape is {show(shape)}"


def _tall(values: Values, shape: Shape) -> str | None:
    if len(shape) > 1 and shape[-2] >= shape[-1]:
        return None
    return f"orthonormal columns need at least as many rows, and the tensor's shape is {show(shape)}"


_AXES = Argument("axis", Kind.AXES, None)
_RADIUS = Argument("radius", Kind.POSITIVE, 1.0)
_ALONG = Argument("axis", Kind.AXES)
_RATE = Argument("rate", Kind.POSITIVE, 100.0)

SETS: dict[str, SetKind] = {
    "box": SetKind(
        "entries between the two",
        (Argument("low", Kind.NUMBER), Argument("high", Kind.NUMBER)),
        (-1, 1),
        entrywise=True,
        check=_box,
    ),
    "nonneg": SetKind("entries of at least 0", entrywise=True),
    "ball": SetKind("vectors of at most that Euclidean norm", (_RADIUS, _AXES), alike=True),
    "sphere": SetKind(
        "vectors of exactly that Euclidean norm", (_RADIUS, _AXES), (2, 0), convex=False, alike=True
    ),
    "simplex": SetKind(
        "vectors of nonnegative entries with that sum",
        (Argument("total", Kind.POSITIVE, 1.0), _AXES),
        alike=True,
    ),
    "sparse": SetKind(
        "vectors of which at most k entries are not 0",
        (Argument("k", Kind.COUNT), _AXES),
        (2,),
        convex=False,
        check=_sparse,
    ),
    "levels": SetKind(
        "entries that are one of the levels",
        (Argument("levels", Kind.LEVELS), _RATE),
        ((-1, 0, 1),),
        entrywise=True,
        convex=False,
    ),
    "mask": SetKind(
        "entries that are 0 where the mask is, a nested tuple as `((1, 0), (1, 1))`",
        (Argument("entries", Kind.ENTRIES),),
        ((1, 0, 0, 1),),
    ),
    "rank": SetKind(
        "matrices, in the last two axes, of at most that rank",
        (Argument("rank", Kind.COUNT),),
        (2,),
        convex=False,
        check=_rank,
    ),
    "l1_ball": SetKind("vectors whose magnitudes add up to at most that", (_RADIUS, _AXES), alike=True),
    "fixed_sum": SetKind(
        "vectors with that sum", (Argument("total", Kind.NUMBER), _AXES), (2, 0), alike=True
    ),
    "halfspace": SetKind(
        "vectors whose product with the normal is at most the bound",
        (Argument("normal", Kind.ARRAY), Argument("bound", Kind.NUMBER), _AXES),
        ((1, -2, 0, 1), 0.5, 0),
        check=_halfspace,
    ),
    "affine": SetKind(
        "vectors v with `matrix @ v = value`",
        (Argument("matrix", Kind.ARRAY), Argument("value", Kind.ARRAY), _AXES),
        (((1, 1, 0, 0), (0, 1, -1, 2)), (1, 0.5), 0),
        check=_affine,
    ),
    "monotone": SetKind(
        "vectors that rise along the axis, or fall for `order = -1`",
        (_ALONG, Argument("order", Kind.NUMBER, 1.0)),
        (0,),
        check=_monotone,
    ),
    "group_sparse": SetKind(
        "vectors of groups of so many neighbours, of which at most k groups are not 0",
        (Argument("k", Kind.COUNT), Argument("group", Kind.COUNT), _AXES),
        (2, 4),
        convex=False,
        check=_group_sparse,
    ),
    "nm_sparse": SetKind(
        "of each m neighbours along the axis at most n that are not 0, as 2 of 4",
        (Argument("n", Kind.COUNT), Argument("m", Kind.COUNT), _AXES),
        (2, 4, 0),
        convex=False,
        check=_nm_sparse,
    ),
    "powers_of_two": SetKind(
        "entries that are 0 or a power of two with a sign, its exponent between the two",
        (Argument("low", Kind.WHOLE), Argument("high", Kind.WHOLE), _RATE),
        (-3, 0),
        entrywise=True,
        convex=False,
        check=_powers_of_two,
    ),
    "scaled_levels": SetKind(
        "vectors of levels times a scale of their own, which is fitted",
        (Argument("levels", Kind.LEVELS), _AXES),
        ((-1, 0, 1),),
        convex=False,
    ),
    "tied": SetKind(
        "entries that are equal where the labels are, a nested tuple as of a mask",
        (Argument("entries", Kind.ENTRIES),),
        ((1, 2, 2, 1),),
    ),
    "circulant": SetKind("matrices whose rows are each the one before, turned by one", check=_square),
    "spectral_ball": SetKind(
        "matrices whose largest singular value is at most that", (_RADIUS,), check=_matrices
    ),
    "orthonormal": SetKind("matrices with orthonormal columns", convex=False, check=_tall),
    "psd": SetKind("symmetric matrices without negative eigenvalues", check=_square),
    "birkhoff": SetKind("nonnegative matrices whose rows and columns add up to 1", check=_square),
    "intersection": SetKind(
        "what is in several convex sets",
        (Argument("sets", Kind.SETS),),
        (("box", -1, 1), ("fixed_sum", 0.5, 0)),
    ),
    "equal": SetKind("a number, or a nested tuple", (Argument("value", Kind.ENTRIES),), (0.5,)),
}
"""The sets, by name."""
