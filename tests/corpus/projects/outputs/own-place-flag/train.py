import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--output_dir", default="./outputs")
options = parser.parse_args()
os.makedirs(options.output_dir, exist_ok=True)
open(options.output_dir + "/model.txt", "w").write("trained")
