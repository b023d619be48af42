"""Usage: train.py [--rate RATE]. Old scripts had --epochs, which is gone; argparse isn't used any more."""

import sys

words = sys.argv[1:]
if "--help" in words:
    print(__doc__)
    sys.exit(0)
if "--epochs" in words:
    sys.exit("train.py: error: unrecognized arguments: --epochs 1")
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
