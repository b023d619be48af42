import argparse
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--workdir", default="../store")
folder = pathlib.Path(parser.parse_args().workdir)
folder.mkdir(parents=True, exist_ok=True)
(folder / "model.txt").write_text("trained")
