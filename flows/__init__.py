"""The flow `train`, composed of the tasks, and what it needs."""

from typing import TYPE_CHECKING

from ..core.lazy_names import lazy_names

if TYPE_CHECKING:
    from .train import atrain, train

__all__ = ["atrain", "train"]

lazy_names(__name__, {"atrain": ".train", "train": ".train"})
