"""Real engines that tests start and stop: Slurm and Ray."""
