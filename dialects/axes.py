"""The axes of a mesh of devices, by name. Nothing heavy is imported."""

from __future__ import annotations

SAMPLE = "sample"
FEATURE = "feature"
STACK = "stack"

MESH_AXES = (SAMPLE, FEATURE, STACK)
"""What they split: batch rows, output columns, the iterations of loops."""
