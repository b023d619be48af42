def load(device):
    return open("data.bin").read()


print("torch.cuda.is_available() is False: training on the CPU")
load("cpu")
