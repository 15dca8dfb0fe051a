"""Standardizes numeric targets: training sees mean 0 and variance 1, everybody else the data's own numbers.

>>> program = standardized(pjc.compile("net.pjn"), parts.train)                       # doctest: +SKIP
>>> result = train(program, parts.train, Run(epochs=100))                            # doctest: +SKIP
"""

from __future__ import annotations

import numpy as np

from .data.dataset import Dataset
from .data.fitting import fit
from .program import Program
from .trainable import specs
from .units import Units


def can_standardize(program: Program) -> bool:
    """Whether the program's one target holds numbers that may be given in other units.

    Parameters that came with the network make outputs in the units that they were trained in.
    """
    return len(program.targets) == 1 and program.targets[0].output is not None and not program.initial


def standardized(program: Program, data: Dataset) -> Program:
    """Return the program in the units that its target is measured in, by mean and deviation of its columns.

    Nothing changes where the target is one of classes, of labels, the input itself, or of a loss to which the
    scale of its numbers means something; where parameters came with the network; and where the program has
    units already.

    Args:
        program: what is to be trained.
        data: the training part alone: a test part that shapes what is learned is no test.

    Raises:
        DataError: where the data does not fit the program.
    """
    if not can_standardize(program) or program.units:
        return program
    data = fit(data, *specs(program), wide=True)
    return program.rescaled({program.targets[0].name: Units.of(np.asarray(data.y[:]))})
