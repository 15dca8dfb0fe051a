"""How often a trace samples training, where nothing is said. Imports no JAX."""

EVERY = 10
"""Of so many updates one is recorded."""
