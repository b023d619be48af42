import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--optim", choices=["sgd", "adam"])
parser.parse_args()
