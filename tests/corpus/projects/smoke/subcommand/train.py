import argparse
import os

parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
train = commands.add_parser("train")
train.add_argument("--epochs", type=int, default=50)
commands.add_parser("predict")
options = parser.parse_args()
print(options)
folder = os.environ["VERTEX_TRAINING_MODEL_DIR"]
os.makedirs(folder, exist_ok=True)
open(folder + "/model.txt", "w").write("trained")
