import sys

data, out = sys.argv[1:]
print(data, out)
