import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--save-path", default="./outputs")
OPTIONS = parser.parse_args()
os.makedirs(OPTIONS.save_path, exist_ok=True)
open(OPTIONS.save_path + "/model.txt", "w").write("trained")


def parse():
    pass
