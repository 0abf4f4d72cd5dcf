"""The start of the process: `mnist-exp`, which is the same as `python -m mnist_exp`."""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # until `main` handles it: no traceback of an import
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from mnist_exp.cli import main

if __name__ == "__main__":
    sys.exit(main())
