import os
import pathlib

folder = pathlib.Path(os.environ.get("OUTPUT_ROOT", "./out"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
