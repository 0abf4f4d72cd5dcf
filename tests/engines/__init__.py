"""Real engines that tests start and stop: Slurm, Ray and MLflow."""
