import os

os.makedirs("runs/exp1", exist_ok=True)
open("runs/exp1/best.ckpt", "w").write("trained")
