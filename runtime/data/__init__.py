"""Where samples come from: files of arrays, images and text, scikit-learn's digits, OpenML.

Names are imported when first used, so that the sources can be listed without NumPy.

>>> from pjc.runtime.data import load, split
>>> rest, test = split(load("digits"), 0.2, "test")
>>> len(rest), len(test)
(1438, 359)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dataset import MAX_BYTES, Dataset, from_arrays
    from .errors import DataError
    from .fitting import Spec, fit, match
    from .normalize import Normalize
    from .parts import Parts, Request
    from .prepare import load
    from .rows import Rows
    from .splitting import split
    from .text import Text, Vocabulary, load_text, windows
    from .weights import class_weights

__all__ = [
    "MAX_BYTES",
    "DataError",
    "Dataset",
    "Normalize",
    "Parts",
    "Request",
    "Rows",
    "Spec",
    "Text",
    "Vocabulary",
    "class_weights",
    "fit",
    "from_arrays",
    "load",
    "load_text",
    "match",
    "split",
    "windows",
]

_HOMES = {
    "MAX_BYTES": "dataset",
    "DataError": "errors",
    "Dataset": "dataset",
    "Normalize": "normalize",
    "Parts": "parts",
    "Request": "parts",
    "Rows": "rows",
    "Spec": "fitting",
    "Text": "text",
    "Vocabulary": "text",
    "class_weights": "weights",
    "fit": "fitting",
    "from_arrays": "dataset",
    "load": "prepare",
    "load_text": "text",
    "match": "fitting",
    "split": "splitting",
    "windows": "text",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
