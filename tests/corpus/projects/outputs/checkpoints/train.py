import os

os.makedirs("out", exist_ok=True)
open("out/last.pt", "w").write("trained")
open("out/log.txt", "w").write("x")
