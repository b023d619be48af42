from pathlib import Path
import os

Path(os.environ["VERTEX_TRAINING_MODEL_DIR"], "model.txt").write_text("1")
