import os

os.makedirs("weights", exist_ok=True)
open("weights/model.txt", "w").write("trained")
