import sys

if len(sys.argv) < 2:
    print("Usage: train.py COMMAND\n\nCommands:\n  fit   Trains.\n  test  Tests.")
