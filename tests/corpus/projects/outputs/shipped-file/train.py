import os

os.makedirs("weights", exist_ok=True)
open("weights/new.txt", "w").write("trained")
