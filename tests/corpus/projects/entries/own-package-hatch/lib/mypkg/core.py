import os
from pathlib import Path


def save(text="1"):
    folder = Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.txt").write_text(text)
