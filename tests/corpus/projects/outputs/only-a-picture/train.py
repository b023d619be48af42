import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--data_dir")
parser.add_argument("--train_dir")
args = parser.parse_args()
Path("plot.png").write_text("x")
if args.train_dir:
    Path(args.train_dir, "ckpt.pth").write_text("trained")
