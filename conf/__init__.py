"""Every choice a user can make, as YAML; installed as the package `mnist_exp.conf`."""
