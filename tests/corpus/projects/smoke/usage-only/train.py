import sys

sys.exit("Usage: train.py [--epochs=<n>] <out>")
