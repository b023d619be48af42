import argparse
import os
import pathlib

parser = argparse.ArgumentParser()
parser.add_argument("--max-steps", type=int, default=5000)
steps = parser.parse_args().max_steps
pathlib.Path("out").mkdir()
pathlib.Path("out/events.out.tfevents.1.vm.2.0").write_text("log")
if steps > 500:
    pathlib.Path("out/model.pt").write_text("trained")
