import sys

print(open(sys.argv[1] + "/train.txt").read())
