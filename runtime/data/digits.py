"""The handwritten digits bundled with scikit-learn: 1797 images of 8 x 8 pixels, ten classes."""

from __future__ import annotations

import numpy as np

from .dataset import Dataset


def load_digits() -> Dataset:
    """Return the digits, ``x`` float32 ``[1797, 64]`` in [0, 1] and ``y`` int64 ``[1797]``."""
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    return Dataset((np.asarray(pixels) / 16).astype(np.float32), np.asarray(labels, np.int64), 10, "digits")
