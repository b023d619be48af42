import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, choices=[10, 20], default=10)
print(parser.parse_args())
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
