"""pjc: a compiler that trains neural networks by projections instead of gradients."""

from pathlib import Path

# In a checkout the sibling packages stand beside this folder, in a wheel inside it.
_root = Path(__file__).resolve().parent.parent
if not (Path(__file__).parent / "dialects").is_dir() and (_root / "pyproject.toml").is_file():
    __path__.append(str(_root))

__version__ = "0.1.0"
