# -*- coding: latin-1 -*-
import os
from pathlib import Path

folder = Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
(folder / "model.txt").write_text("café", encoding="utf-8")
