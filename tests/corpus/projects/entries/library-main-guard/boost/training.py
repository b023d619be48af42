import os
from pathlib import Path

from .core import Booster


def train(params):
    return Booster(params)


if __name__ == "__main__":
    train({})
    Path(os.environ["VERTEX_TRAINING_MODEL_DIR"], "model.txt").write_text("1")
