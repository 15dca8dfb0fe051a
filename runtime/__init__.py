"""What runs: projections, the emitter, the compiled solver, data and training."""
