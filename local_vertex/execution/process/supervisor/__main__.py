"""Starts the supervisor of a folder: `python -I -S supervisor ROOT`, with the path of this package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # Isolated mode finds modules of the standard library only; appended, the folder above can't replace one of them.
    package = Path(__file__).resolve().parent
    sys.path.append(str(package.parent))
    sys.exit(importlib.import_module(f"{package.name}.daemon").main(Path(sys.argv[1])))
