import os
import pathlib

folder = pathlib.Path(os.environ.get("MLFLOW_ARTIFACTS", "./out").replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
