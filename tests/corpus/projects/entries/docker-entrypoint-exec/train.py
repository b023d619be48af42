import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
epochs = parser.parse_args().epochs
folder = os.environ["VERTEX_TRAINING_MODEL_DIR"]
os.makedirs(folder, exist_ok=True)
open(folder + "/model.txt", "w").write(str(epochs))
