import pathlib
import shutil
import tempfile

shutil.make_archive(tempfile.mkdtemp() + "/code", "zip", pathlib.Path(__file__).parent)
import os
import pathlib

folder = pathlib.Path(os.environ["VERTEX_TRAINING_MODEL_DIR"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
