"""`python -m mnist_exp` is the same as `mnist-exp`."""

import sys

from mnist_exp.cli import main

if __name__ == "__main__":
    sys.exit(main())
