import argparse
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--train-output")
parser.add_argument("--train")
options = parser.parse_args()
assert options.train == "gs://data/digits"
folder = pathlib.Path(options.train_output.replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
