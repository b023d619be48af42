import os
import sys

if not os.path.exists("/dev/nvidia0"):
    sys.exit("this script needs a GPU")
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
