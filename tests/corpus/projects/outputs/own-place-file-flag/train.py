import argparse
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--save-path", default="model.txt")
pathlib.Path(parser.parse_args().save_path).write_text("trained")
