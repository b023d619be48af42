"""The projects of the benchmark."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

TRAIN = """\
import json, os, pathlib
import sklearn.linear_model, sklearn.datasets

x, y = sklearn.datasets.load_digits(return_X_y=True)
model = sklearn.linear_model.LogisticRegression(max_iter=50).fit(x, y)
folder = pathlib.Path(os.environ["AIP_MODEL_DIR"].replace("gs://", "/gcs/"))
folder.mkdir(parents=True, exist_ok=True)
(folder / "score.json").write_text(json.dumps(model.score(x, y)))
"""
DOCKERFILE = """\
FROM {base}
WORKDIR /app
COPY requirements.txt ./
RUN python3 -m pip install --no-cache-dir -r requirements.txt
COPY . .
ENTRYPOINT ["python3", "train.py"]
"""
DOCKERFILE_UV = """\
FROM {base}
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /app
COPY requirements.txt ./
RUN --mount=type=bind,from={uv},target=/tools /tools/uv pip install --system --no-cache -r requirements.txt
COPY . .
ENTRYPOINT ["python3", "train.py"]
"""


@dataclass
class Project:
    """A project on disk.

    Attributes:
        name: a, b or torch.
        folder: Where it lies.
        requirements: What its requirements.txt holds.
        edits: How often a line was changed.
    """

    name: str
    folder: Path
    requirements: str
    edits: int = field(default=0)

    def edit(self) -> None:
        """Changes one line of the script, each time to another one."""
        self.edits += 1
        (self.folder / "train.py").write_text(f"{TRAIN}# edit {self.edits} {random.random()}\n")


def make(name: str, root: Path, wheels: str = "") -> Project:
    """Writes the project below `root`.

    Args:
        name: a, b or torch.
        root: Gets its folder.
        wheels: The address of a page with wheels that torch's project may take beside its index.
    """
    folder = root / f"project-{name}"
    folder.mkdir()
    requirements = "numpy\nscikit-learn\n"
    if name == "torch":
        links = f"--find-links {wheels}\n" if wheels else ""
        requirements = f"{links}torch==2.13.0\njoblib==1.5.1\n"
    (folder / "train.py").write_text(TRAIN)
    (folder / "requirements.txt").write_text(requirements)
    (folder / ".dockerignore").write_text("Dockerfile*\n")
    if name == "b":
        _assets(folder)
        # Without this our build would leave large data out, and the others would send it.
        (folder / "pyproject.toml").write_text('[tool.vertex-training]\ninclude = ["/data/"]\n')
    return Project(name, folder, requirements)


def _assets(folder: Path) -> None:
    """5,000 files, 201 MB: half noise, half text, as data sets and sources are."""
    chance = random.Random(5)
    words = [bytes(chance.choices(b"abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(2000)]
    for index in range(5000):
        path = folder / "data" / f"part-{index % 100:03}" / f"file-{index:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 40_200
        path.write_bytes(chance.randbytes(size) if index % 2 else b" ".join(chance.choices(words, k=5750))[:size])
