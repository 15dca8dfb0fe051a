"""What a network says of samples.

>>> found = predict(program, params, data)                                           # doctest: +SKIP
>>> found.named(("setosa", "versicolor", "virginica"))                               # doctest: +SKIP
array(['setosa', 'virginica', ...])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from .data.dataset import Dataset
from .data.fitting import Spec, fit
from .trainable import Trainable, TrainError, batch_size, specs

CLASSES = "classes"
LABELS = "labels"
NUMBERS = "numbers"

Forward = Callable[[Mapping[str, Any], Any], Any]
"""(params, at most a batch of samples) -> the network's output for them: an array, or a dict by name."""


def kind(target: Spec) -> str:
    """Return what an output for this target tells: a class of several, labels of 0 and 1, or numbers."""
    return CLASSES if target.classes is not None else NUMBERS if target.threshold is None else LABELS


def kind_of(program: Trainable) -> str:
    """Return what the program's output tells; without a target that is numbers."""
    return kind(program.targets[0]) if program.targets else NUMBERS


def forward(program: Trainable) -> Forward:
    """Return the network as a function of at most ``program.batch`` samples, compiled once.

    Raises:
        TrainError: if the program takes no batch.
    """
    size, apply = batch_size(program), jax.jit(program.apply)

    def run(params: Mapping[str, Any], x: Any) -> Any:
        padded = np.concatenate([x, np.repeat(x[:1], size - len(x), axis=0)])
        return jax.tree.map(lambda each: np.asarray(each)[: len(x)], apply(params, padded))

    return run


def one_output(found: Any) -> Any:
    """Return the one output; raise TrainError if there are several, or none."""
    if isinstance(found, dict):
        raise _of_several(list(found))
    return found


def require_one_output(program: Trainable) -> None:
    """Raise TrainError unless the program has one output, which can be scored."""
    if len(program.outputs) != 1:
        raise _of_several([each.name for each in program.outputs])


def _of_several(names: Sequence[str]) -> TrainError:
    return TrainError(
        f"a score needs one output, and the network has {', '.join(names) or 'none'}; keep one, or train "
        "without parts to score (--validation 0 --test 0) and score what Program.apply returns from Python"
    )


def decided(output: Any, target: Spec) -> Any:
    """Return what an output says: class numbers, whether each label is told, or the numbers themselves."""
    if target.threshold is not None:
        return output > target.threshold
    return output if target.classes is None else output.argmax(-1)


@dataclass(frozen=True)
class Predictions:
    """What a network says of samples.

    Attributes:
        kind: CLASSES, LABELS or NUMBERS.
        values: for each sample the class numbers of its sites, 0 or 1 for each label, or numbers in the
            data's own units.
        scores: the outputs that they were made of, with an axis for classes; None if not asked for.
    """

    kind: str
    values: NDArray[Any]
    scores: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def named(self, classes: Sequence[str]) -> NDArray[Any]:
        """Return the values with classes by their names; a class beyond those that have one by its number."""
        if self.kind != CLASSES or not classes:
            return self.values
        others = range(len(classes), int(self.values.max(initial=0)) + 1)
        found: NDArray[Any] = np.array([*classes, *map(str, others)], dtype=np.str_)[self.values]
        return found


def predict(
    program: Trainable, params: Mapping[str, Any], data: Dataset, scores: bool = False
) -> Predictions:
    """Return what the network says of the samples of ``data``, whose targets are not looked at.

    Args:
        program: with one input, one output, and at most one target.
        params: as ``Program.init`` gives them.
        data: samples as the network was trained on them: normalized, where they were.
        scores: whether to keep the outputs too.

    Raises:
        TrainError: if the program has not one input and one output, or takes no batch.
        DataError: where the samples do not fit the program.
    """
    source, target = specs(program)
    run, size = forward(program), batch_size(program)
    x = fit(data, source, source).x
    values, outputs = [], []
    for first in range(0, len(x), size):
        output = one_output(run(params, x[first : first + size]))
        values.append(decided(output, target) if program.targets else output)
        if scores:
            outputs.append(output)
    found = np.concatenate(values)
    of = kind_of(program)
    return Predictions(
        of, found.astype(np.int64) if of == LABELS else found, np.concatenate(outputs) if scores else None
    )
