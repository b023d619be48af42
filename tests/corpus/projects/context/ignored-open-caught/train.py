import os
import sys

if not os.path.exists("data/meta.txt"):
    sys.exit("no data: run prepare.py first")
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
