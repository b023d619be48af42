import subprocess
import sys

subprocess.run([sys.executable, "-c", "import os; print(os.path.exists('data/meta.txt'))"], check=True)
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
