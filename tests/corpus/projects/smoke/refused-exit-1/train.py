import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=100)
if parser.parse_args().steps < 10:
    raise ValueError("steps must be at least 10")
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
