"""Trains a small model with PyTorch on all processes of a job, GPUs or CPUs, and resumes from its last checkpoint."""

import argparse
import json
import os
import pathlib
import signal
import sys

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def folder(variable: str) -> pathlib.Path:
    """A folder of the job as a path: buckets are mounted below /gcs."""
    path = pathlib.Path(os.environ[variable].replace("gs://", "/gcs/", 1))
    path.mkdir(parents=True, exist_ok=True)
    return path


def batch(step: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The data of one process in one step: the same whenever the step is repeated."""
    generator = torch.Generator().manual_seed(1000 * step + rank)
    inputs = torch.randn(32, 8, generator=generator)
    return inputs, inputs.sum(1, keepdim=True)


def agree(flag: bool, device: torch.device) -> bool:
    """Whether any process says so: all must stop in the same step, or the others wait for ever."""
    said = torch.tensor(float(flag), device=device)
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said.item())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--every", type=int, default=10, help="steps between checkpoints")
    options = parser.parse_args()

    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    gpu = torch.cuda.is_available()
    dist.init_process_group("nccl" if gpu else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    total = torch.tensor(float(rank), device=device)
    dist.all_reduce(total)
    assert total.item() == world * (world - 1) / 2, "a rank is missing or doubled"
    print(f"rank {rank} of {world}: the sum over all ranks is {total.item():.0f}", flush=True)

    torch.manual_seed(0)
    model = DistributedDataParallel(nn.Linear(8, 1).to(device))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    file = folder("AIP_CHECKPOINT_DIR") / "last.pt"
    step = 0
    if file.exists():
        saved = torch.load(file, map_location=device)
        model.module.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    if rank == 0:
        print(f"first step {step}", flush=True)

    loss = torch.tensor(0.0)
    while step < options.steps:
        inputs, wanted = (each.to(device) for each in batch(step, rank))
        loss = nn.functional.mse_loss(model(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        stopped = agree(bool(stopping), device)
        if rank == 0 and (stopped or step % options.every == 0 or step == options.steps):
            print(json.dumps({"step": step, "loss": loss.item()}), flush=True)
            saved = {"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(saved, file.with_name("new.pt"))
            file.with_name("new.pt").replace(file)  # a half-written checkpoint never has the name
        if stopped:
            print(f"rank {rank} stopped at step {step}", flush=True)
            sys.exit(143)
    if rank == 0:
        torch.save(model.module.state_dict(), folder("AIP_MODEL_DIR") / "model.pt")
        text = json.dumps({"step": step, "weight": model.module.weight.tolist()})
        (folder("AIP_MODEL_DIR") / "model.json").write_text(text)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
