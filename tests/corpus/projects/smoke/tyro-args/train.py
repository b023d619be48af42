# tyro's words: options with dots, and --help in boxes
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--args.total-timesteps", dest="epochs", metavar="INT", type=int, default=1000000)
parser.add_argument("--train.learning-rate", dest="rate", metavar="FLOAT", type=float, default=0.1)
options = parser.parse_args()
print(options)
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
