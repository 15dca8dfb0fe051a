"""How often a trace samples training where nothing is said, and what it is called. Imports no JAX."""

EVERY = 10
"""Of so many updates one is recorded."""
TRACE = "trace"
"""What an update that tells of nodes has it by, among what happened."""
