import sys

out = sys.argv[1]
print(out)
