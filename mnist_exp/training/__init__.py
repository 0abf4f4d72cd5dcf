"""The training of a model: the loop, optimizers, schedules, checkpoints, the device."""
