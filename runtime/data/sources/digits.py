"""The handwritten digits bundled with scikit-learn: 1797 images of 8 x 8 pixels, ten classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Digits(Source):
    """``x`` is float32 ``[1797, 64]`` in [0, 1], ``y`` int64 ``[1797]``."""

    forms = (Form("digits", "1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn"),)
    word = "digits"

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        import numpy as np
        from sklearn import datasets

        from ..dataset import Dataset

        pixels, labels = datasets.load_digits(return_X_y=True)
        x = (np.asarray(pixels) / 16).astype(np.float32)
        return Dataset(x, np.asarray(labels, np.int64), 10, "digits")
