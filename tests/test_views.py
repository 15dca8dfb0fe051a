"""Paths of views on arrays: collect is the adjoint of spread, counts say how often an entry is copied."""

from __future__ import annotations

import numpy as np
import pytest

from pjc.runtime.views import Step, collect, counts, gathered_counts, owns_all, spread

PATHS: dict[str, tuple[tuple[int, ...], list[Step]]] = {
    "nothing": ((2, 3), []),
    "reshape": ((2, 3), [("reshape", ((3, 2),))]),
    "transpose": ((2, 3, 4), [("transpose", ((2, 0, 1),))]),
    "broadcast": ((3,), [("broadcast", ((2, 3), (1,)))]),
    "broadcast a size of one": ((2, 1), [("broadcast", ((2, 5, 3), (0, 2)))]),
    "slice": ((5, 4), [("slice", ((1, 0), (5, 4), (2, 1)))]),
    "slice from the middle": ((7,), [("slice", ((2,), (6,), (3,)))]),
    "pad": ((2, 3), [("pad", ((1, 0), (0, 2)))]),
    "shift": ((4, 2), [("shift", ((1,),))]),
    "patches": ((2, 5, 4), [("patches", ((1, 2), (3, 2), (2, 1)))]),
    "patches with gaps": ((7,), [("patches", ((0,), (2,), (3,)))]),
    "patches of a part": (
        (2, 5),
        [("place", ((1, 1, 7),)), ("patches", ((1,), (3,), (2,))), ("reshape", ((6, 3),))],
    ),
    "place": ((2, 3), [("place", ((1, 4, 9),))]),
    "gather": ((4, 3), [("gather", (np.array([[1, 3, 1], [1, 0, 3]]),))]),
    "gather and more": (
        (3, 4),
        [
            ("transpose", ((1, 0),)),
            ("gather", (np.array([2, 2, 0, 2]),)),
            ("slice", ((1, 0), (4, 3), (1, 2))),
            ("broadcast", ((2, 3, 2), (1, 2))),
        ],
    ),
    "all in a row": (
        (4, 3),
        [
            ("transpose", ((1, 0),)),
            ("slice", ((0, 1), (3, 4), (2, 1))),
            ("pad", ((0, 1), (1, 0))),
            ("place", ((0, 2, 6),)),
            ("reshape", ((24,),)),
            ("broadcast", ((2, 24), (1,))),
        ],
    ),
}


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1, np.prod(shape, dtype=int) + 1, dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("name", PATHS)
def test_collect_is_the_adjoint_of_spread(name: str) -> None:
    shape, path = PATHS[name]
    generator = np.random.default_rng(0)
    value = generator.integers(-9, 9, shape).astype(np.float32)
    copies = np.asarray(spread(value, path))
    other = generator.integers(-9, 9, copies.shape).astype(np.float32)
    assert np.sum(copies * other) == np.sum(value * np.asarray(collect(other, path, shape)))


@pytest.mark.parametrize("name", PATHS)
def test_counts_say_how_often_each_entry_is_copied(name: str) -> None:
    shape, path = PATHS[name]
    copies = np.asarray(spread(numbered(shape), path)).ravel()
    expected = [np.count_nonzero(copies == entry) for entry in numbered(shape).ravel()]
    if not any(kind == "gather" for kind, _ in path):
        assert np.broadcast_to(counts(path, shape), shape).ravel().tolist() == expected
    assert np.broadcast_to(gathered_counts(path, shape), shape).ravel().tolist() == expected


def test_pads_belong_to_the_operand_and_the_rest_of_a_concat_does_not() -> None:
    mine = spread(numbered((2,)), [("pad", ((1,), (0,))), ("place", ((0, 1, 5),))], fill=7)
    assert np.asarray(mine).tolist() == [0, 7, 1, 2, 0]
    assert owns_all(PATHS["pad"][1])
    assert not owns_all(PATHS["place"][1])


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown view step 'turn'"):
        spread(numbered((2,)), [("turn", ((1,),))])
