import os

print(os.environ["OUT_DIR"])
