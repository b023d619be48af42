import argparse
import os
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--model-dir", default=os.environ.get("AIP_MODEL_DIR"))
parser.add_argument("--epochs", type=int, default=1)
options = parser.parse_args()
folder = pathlib.Path(options.model_dir.replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text(str(options.epochs))
