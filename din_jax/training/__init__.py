"""Training: mesh and sharding, state, the pure update step, the loop, checkpoints, logging."""
