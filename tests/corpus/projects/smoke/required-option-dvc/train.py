import argparse

parser = argparse.ArgumentParser()
parser.add_argument("-c", "--config", required=True)
parser.parse_args()
