import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--max-steps", type=int, default=5000)
for step in range(1, parser.parse_args().max_steps + 1):
    if step % 1000 == 0:
        raise SystemExit("saves here")
