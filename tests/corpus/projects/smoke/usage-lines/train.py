"""Stands for docopt, which refuses an option that is given twice.

Usage:
  train.py [--epochs=<n>] <out>
"""

import pathlib
import sys

words = sys.argv[1:]
if "--help" in words:
    sys.exit(print(__doc__))
given = [word for word in words if word.startswith("--epochs")]
rest = [word for at, word in enumerate(words) if not word.startswith("--") and words[at - 1] != "--epochs"]
if len(given) > 1 or len(rest) != 1:
    sys.exit("Usage:\n  train.py [--epochs=<n>] <out>")
print("given", given)
folder = pathlib.Path(rest[0])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
