"""The machine: devices, cores, memory, signals, atomic files, logs, and the start of TensorFlow."""
