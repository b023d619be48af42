import pathlib
import sys

value = sys.argv[1].partition("=")[2]
print("uri", value)
folder = pathlib.Path(value.replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
