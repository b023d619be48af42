import runpy

runpy.run_path("train.py", run_name="__main__")
