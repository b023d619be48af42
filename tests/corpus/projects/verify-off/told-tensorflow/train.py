raise AssertionError("Torch not compiled with CUDA enabled")
