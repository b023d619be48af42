import pathlib

meta = pathlib.Path("data") / "meta.txt"
vocab = meta.read_text() if meta.is_file() else "none"
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
