"""The training floor: what a stage is, the one training loop, batches, schedule, checkpoints, prediction."""
