"""Turn a proj program into JAX functions.

The functions are ordinary traceable ones. Staging them (``jax.jit``, ``jax.export``) is what emits
StableHLO, so that a dump, an embedded solver and the command line all run the same thing. What a mesh of
devices adds is a :class:`pjc.runtime.placement.Placement`.
"""

from pjc.runtime.emit.emitter import Emitter
from pjc.runtime.emit.entry import entry_points
from pjc.runtime.emit.telling import nodes_of
from pjc.runtime.emit.values import dtype_of, static_fields

__all__ = ["Emitter", "dtype_of", "entry_points", "nodes_of", "static_fields"]
