import pathlib
import sys

folder = pathlib.Path(sys.argv[1].partition("=")[2] or sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
