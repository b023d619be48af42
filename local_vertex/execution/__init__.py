"""Runs the jobs of the store: replicas as Docker containers, or as processes over unpacked layers."""

from .executor import Executor
from .info import ServiceInfo

__all__ = ["Executor", "ServiceInfo"]
