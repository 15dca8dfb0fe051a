"""Paths of views on arrays: collect is the adjoint of spread, counts say how often an entry is copied."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path as File

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparisons import compared
from hypothesis import given, settings
from hypothesis import strategies as st

from pjc.dialects import steps
from pjc.dialects.steps import (
    KINDS,
    Broadcast,
    Gather,
    Pad,
    Patches,
    Place,
    Reads,
    Reshape,
    Rows,
    Shift,
    Slice,
    Step,
    Transpose,
    step_of,
)
from pjc.dialects.view import VIEW, ViewOp
from pjc.passes.analysis.families import FamilyError, reads
from pjc.runtime import views
from pjc.runtime.gathered import gathered_counts
from pjc.runtime.steps import View, bound
from pjc.runtime.views import Path, collect, counts, owns_all, spread, write

INDICES = {"rows": np.array([[1, 3, 1], [1, 0, 3]]), "more rows": np.array([2, 2, 0, 2])}

PATHS: dict[str, tuple[tuple[int, ...], list[Step]]] = {
    "nothing": ((2, 3), []),
    "reshape": ((2, 3), [Reshape((3, 2))]),
    "transpose": ((2, 3, 4), [Transpose((2, 0, 1))]),
    "broadcast": ((3,), [Broadcast((2, 3), (1,))]),
    "broadcast a size of one": ((2, 1), [Broadcast((2, 5, 3), (0, 2))]),
    "slice": ((5, 4), [Slice((1, 0), (5, 4), (2, 1))]),
    "slice from the middle": ((7,), [Slice((2,), (6,), (3,))]),
    "pad": ((2, 3), [Pad((1, 0), (0, 2))]),
    "shift": ((4, 2), [Shift(1)]),
    "patches": ((2, 5, 4), [Patches((1, 2), (3, 2), (2, 1))]),
    "patches with gaps": ((7,), [Patches((0,), (2,), (3,))]),
    "dilated patches": ((2, 9, 8), [Patches((1, 2), (3, 2), (2, 1), (3, 4))]),
    "patches of a part": ((2, 5), [Place(1, 1, 7), Patches((1,), (3,), (2,)), Reshape((6, 3))]),
    "place": ((2, 3), [Place(1, 4, 9)]),
    "gather": ((4, 3), [Gather((2, 3), "rows")]),
    "gather and more": (
        (3, 4),
        [
            Transpose((1, 0)),
            Gather((4,), "more rows"),
            Slice((1, 0), (4, 3), (1, 2)),
            Broadcast((2, 3, 2), (1, 2)),
        ],
    ),
    "all in a row": (
        (4, 3),
        [
            Transpose((1, 0)),
            Slice((0, 1), (3, 4), (2, 1)),
            Pad((0, 1), (1, 0)),
            Place(0, 2, 6),
            Reshape((24,)),
            Broadcast((2, 24), (1,)),
        ],
    ),
}


def path_of(name: str) -> tuple[tuple[int, ...], Path]:
    shape, path = PATHS[name]
    return shape, bound(path, INDICES)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1, np.prod(shape, dtype=int) + 1, dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("name", PATHS)
def test_collect_is_the_adjoint_of_spread(name: str) -> None:
    shape, path = path_of(name)
    generator = np.random.default_rng(0)
    value = generator.integers(-9, 9, shape).astype(np.float32)
    copies = np.asarray(spread(value, path))
    other = generator.integers(-9, 9, copies.shape).astype(np.float32)
    assert np.sum(copies * other) == np.sum(value * np.asarray(collect(other, path, shape)))


@pytest.mark.parametrize("name", PATHS)
def test_counts_say_how_often_each_entry_is_copied(name: str) -> None:
    shape, path = path_of(name)
    copies = np.asarray(spread(numbered(shape), path)).ravel()
    expected = [np.count_nonzero(copies == entry) for entry in numbered(shape).ravel()]
    if not any(view.step.datum() for view in path):
        assert np.broadcast_to(counts(path, shape), shape).ravel().tolist() == expected
    assert np.broadcast_to(gathered_counts(path, shape), shape).ravel().tolist() == expected


def test_pads_belong_to_the_operand_and_the_rest_of_a_concat_does_not() -> None:
    mine = spread(numbered((2,)), bound([Pad((1,), (0,)), Place(0, 1, 5)]), fill=7)
    assert np.asarray(mine).tolist() == [0, 7, 1, 2, 0]
    assert owns_all(path_of("pad")[1])
    assert not owns_all(path_of("place")[1])


def test_an_unknown_step_is_refused() -> None:
    @dataclass(frozen=True)
    class Turn(Shift):
        pass

    with pytest.raises(ValueError, match="unknown view step 'turn'"):
        spread(numbered((2,)), bound([Turn(1)]))


def test_every_kind_has_its_op_its_class_on_arrays_and_a_path_here() -> None:
    assert View.OF.keys() == set(KINDS.values())
    assert {op.STEP for op in VIEW.operations if issubclass(op, ViewOp)} == set(KINDS.values())
    assert {type(step) for _, path in PATHS.values() for step in path} == set(KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_a_step_is_read_back(kind: str) -> None:
    (first, *_) = [step for _, path in PATHS.values() for step in path if step.kind() == kind]
    assert str(first).split()[0] == kind
    assert step_of(kind, first.lists(), first.datum()) == first


def test_nothing_but_the_classes_knows_the_kinds_by_name() -> None:
    """No string in a pass, in the runtime or in proj that is compared is the name of a kind."""
    root = File(steps.__file__).parents[1]
    found = [
        f"{file.relative_to(root)}:{line}"
        for folder in ("dialects", "passes", "runtime")
        for file in (root / folder).rglob("*.py")
        for line, name in compared(file.read_text())
        if name in KINDS
    ]
    assert found == []


SMALL = 200
"""The entries that a random tensor may have."""


@st.composite
def steps_from(draw: st.DrawFn, shape: tuple[int, ...], kind: str | None = None) -> Step:
    """Draw a step that fits a tensor of the shape, of the given kind if there is one that fits."""
    rank = len(shape)
    kinds = ["reshape", "transpose", "broadcast", "slice", "pad"]
    kinds += ["place", "patches"] if rank else []
    kinds += ["shift"] if rank and shape[0] > 1 else []
    match kind if kind in kinds else draw(st.sampled_from(kinds)):
        case "reshape":
            rest, sizes = prod(shape), []
            while rest > 1 and len(sizes) < 3:
                sizes.append(draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
                rest //= sizes[-1]
            return Reshape((*sizes, rest))
        case "transpose":
            return Transpose(tuple(draw(st.permutations(range(rank)))))
        case "broadcast":
            target = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank + 2))
            dims = sorted(draw(st.permutations(range(len(target))))[:rank])
            for dim, size in zip(dims, shape, strict=True):
                target[dim] = target[dim] if size == 1 else size
            return Broadcast(tuple(target), tuple(dims))
        case "slice":
            rows = []
            for size in shape:
                start = draw(st.integers(0, size - 1))
                rows.append((start, draw(st.integers(start + 1, size)), draw(st.integers(1, 3))))
            starts, limits, strides = zip(*rows, strict=True) if rows else ((), (), ())
            return Slice(starts, limits, strides)
        case "pad":
            widths = st.lists(st.integers(0, 2), min_size=rank, max_size=rank).map(tuple)
            return Pad(draw(widths), draw(widths))
        case "place":
            axis, offset = draw(st.integers(0, rank - 1)), draw(st.integers(0, 2))
            return Place(axis, offset, offset + shape[axis] + draw(st.integers(0, 2)))
        case "patches":
            axes = sorted(draw(st.sets(st.integers(0, rank - 1), max_size=2)))
            window = tuple(draw(st.integers(1, shape[axis])) for axis in axes)
            most = [(shape[axis] - 1) // max(size - 1, 1) for axis, size in zip(axes, window, strict=True)]
            apart = tuple(draw(st.integers(1, max(each, 1))) for each in most)
            return Patches(tuple(axes), window, tuple(draw(st.integers(1, 3)) for _ in axes), apart)
        case _:
            return Shift(draw(st.integers(1, shape[0] - 1)))


@st.composite
def paths(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Step]]:
    """Draw a shape, and steps that lead on from it."""
    shape = found = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    path: list[Step] = []
    for _ in range(draw(st.integers(1, 4))):
        step = draw(steps_from(found))
        if prod(step.result_shape(found)) > SMALL:
            break
        path.append(step)
        found = step.result_shape(found)
    return shape, path


def whole(shape: tuple[int, ...]) -> np.ndarray:
    """Return a tensor with another number in each entry, from 1 on."""
    return np.arange(1, prod(shape) + 1).reshape(shape)


def sent(value: np.ndarray, path: list[Step]) -> np.ndarray:
    """Return whole numbers at the end of a path, by NumPy: what no operand owns is zero."""
    for step in path:
        value = step.numbers(value)
    return value


EXAMPLES = settings(max_examples=300, deadline=None)


@settings(max_examples=20, deadline=None)  # each compiles its own paths
@given(paths())
def test_the_faces_of_random_paths_agree(drawn: tuple[tuple[int, ...], list[Step]]) -> None:
    shape, steps_ = drawn
    path, end = bound(steps_), steps.shape_after(steps_, shape)
    value = whole(shape).astype(np.float32)
    copies = np.asarray(spread(value, path))
    assert copies.shape == end == views.shape_after(path, shape)
    np.testing.assert_array_equal(copies, sent(whole(shape), steps_))
    other = np.random.default_rng(0).integers(-9, 9, end).astype(np.float32)
    assert np.sum(copies * other) == np.sum(value * np.asarray(collect(other, path, shape)))
    ones = np.asarray(collect(np.ones(end, np.float32), path, shape))
    np.testing.assert_array_equal(np.broadcast_to(counts(path, shape), shape), ones)
    mine = np.asarray(spread(np.ones(shape, np.float32), path, fill=1)) > 0
    np.testing.assert_array_equal(write(other, value, path, end), np.where(mine, copies, other))
    assert not all(step.copies_once for step in steps_) or ones.max(initial=0) <= 1
    assert not owns_all(path) or mine.all()


@EXAMPLES
@given(paths(), st.integers(1, 3))
def test_lifted_steps_do_the_same_to_each_entry_of_a_first_axis(
    drawn: tuple[tuple[int, ...], list[Step]], count: int
) -> None:
    shape, path = drawn
    path = path[: next((i for i, step in enumerate(path) if not step.can_lift()), None)]
    value = whole((count, *shape))
    expected = np.stack([sent(each, path) for each in value])
    lifted = [step.lifted(count) for step in path]
    np.testing.assert_array_equal(sent(value, lifted), expected)
    assert [step.with_first(2) for step in lifted] == [step.lifted(2) for step in path]


@EXAMPLES
@given(paths(), st.lists(st.integers(1, 3), max_size=2).map(tuple))
def test_steps_on_rows_take_trailing_axes_along(
    drawn: tuple[tuple[int, ...], list[Step]], row: tuple[int, ...]
) -> None:
    shape, path = drawn
    path = path[: next((i for i, step in enumerate(path) if not step.can_take_rows()), None)]
    table = np.random.default_rng(0).integers(1, 99, (prod(shape) + 1, *row))
    table[0] = 0  # of what no operand owns
    expected = table[sent(whole(shape), path)]
    found = sent(table[whole(shape)], [step.on_rows(row) for step in path])
    np.testing.assert_array_equal(found, expected)


@EXAMPLES
@given(st.data())
def test_merged_and_neutral_steps_do_what_they_stand_for(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 8), max_size=3)))
    first = data.draw(steps_from(shape))
    second = data.draw(steps_from(first.result_shape(shape), first.kind()))
    merged = second.merged(first)
    assert merged is not None or type(first) is not type(second) or type(first) in (Place, Patches, Shift)
    if merged is not None:
        np.testing.assert_array_equal(sent(whole(shape), [merged]), sent(whole(shape), [first, second]))
    if first.neutral(shape):
        np.testing.assert_array_equal(sent(whole(shape), [first]), whole(shape))


@EXAMPLES
@given(paths(), st.data())
def test_samples_are_where_the_steps_say(
    drawn: tuple[tuple[int, ...], list[Step]], data: st.DataObject
) -> None:
    shape, path = drawn
    ways = [(axis, inner, batch) for axis, size in enumerate(shape) for inner in (1, 2, 3)
            for batch in (2, 3, 4) if size % (inner * batch) == 0]  # fmt: skip
    if not ways:
        return
    axis, inner, batch = data.draw(st.sampled_from(ways))
    rows: Rows | None = Rows(axis, inner)
    samples = samples_of(shape, Rows(axis, inner), batch)
    for step in path:
        before, samples, shape = shape, sent(samples, [step]), step.result_shape(shape)
        rows = step.rows_after(rows, before, batch)
        if rows is None:
            return
        expected = samples_of(shape, rows, batch)
        np.testing.assert_array_equal(samples[samples > 0], expected[samples > 0])


def samples_of(shape: tuple[int, ...], rows: Rows, batch: int) -> np.ndarray:
    """Return the sample, counted from 1, of each entry of a tensor."""
    along = np.arange(shape[rows.axis]) // rows.inner % batch + 1
    return np.broadcast_to(along.reshape(-1, *[1] * (len(shape) - rows.axis - 1)), shape)


@EXAMPLES
@given(paths(), st.integers(1, 4))
def test_entries_are_read_by_the_iterations_that_the_steps_say(
    drawn: tuple[tuple[int, ...], list[Step]], count: int
) -> None:
    shape, path = drawn
    copies = sent(whole(shape), path)
    if not copies.ndim or copies.shape[0] % count:
        return
    try:
        found = reads(path, shape, count)
    except FamilyError:
        return
    for iteration, share in enumerate(np.split(copies, count)):
        for entry in set(share[share > 0].tolist()):
            place = np.unravel_index(entry - 1, shape)
            assert found == Reads(None) or found.iterations[place[found.axis]] == iteration


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((2, 9, 11, 3), Patches((1, 2), (4, 5), (1, 2))),
        ((3, 13), Patches((1,), (6,), (2,))),
        ((9, 11), Patches((0, 1), (3, 4), (3, 3))),
        ((2, 11, 14, 3), Patches((1, 2), (4, 5), (1, 2), (3, 2))),
        ((17, 2), Patches((0,), (6,), (2,), (3,))),
    ],
)
def test_large_windows_are_those_that_are_cut_place_by_place(
    shape: tuple[int, ...], step: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    (view,) = bound([step])
    numbers = whole(shape).astype(np.float32)
    expected = step.numbers(whole(shape))
    copies = np.random.default_rng(0).integers(0, 9, expected.shape).astype(np.float32)
    total = np.bincount(expected.ravel(), weights=copies.ravel(), minlength=numbers.size + 1)
    for few in (0, 10**6):  # in loops, and place by place
        monkeypatch.setattr("pjc.runtime.steps.FEW", few)
        np.testing.assert_array_equal(view.spread(jnp.asarray(numbers), 0), expected)
        found = view.collect(jnp.asarray(copies), shape)
        np.testing.assert_array_equal(np.ravel(found), total[1:])


@pytest.mark.parametrize("apart", [1, 3])
def test_a_window_of_any_size_is_compiled_at_once(apart: int) -> None:
    """The program does not grow with the window: as many operations for 30 by 30 as for 6 by 6."""
    counts = []
    for size in (6, 30):
        (view,) = bound([Patches((1, 2), (size, size), (1, 1), (apart, apart))])
        shape = (1, 40 * apart, 40 * apart, 2)
        made = jax.make_jaxpr(lambda x, view=view, shape=shape: view.collect(view.spread(x, 0), shape))
        counts.append(str(made(jnp.zeros(shape))).count("slice"))
    assert counts[0] == counts[1]
