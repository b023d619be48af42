"""Starts a script: `PYTHON -IB /opt/vertex-training/runtime -- COMMAND [ARGUMENT ...]`."""

from __future__ import annotations

import importlib
import os
import sys

if __name__ == "__main__":
    # Isolated mode (-I) hides the project's modules, one of which may be named like one of the standard library;
    # -B writes no bytecode into the image's folders.
    package = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.dirname(package))  # it holds nothing but this package
    main = importlib.import_module("%s.job_start" % os.path.basename(package)).main
    sys.exit(main(sys.argv[1:], os.environ))
