"""The lab: database hosts as small containers on one machine, for tests, demo and benchmarks."""

from .check import compare, invariants
from .errors import LabError, Unavailable
from .lab import Lab, living_labs
from .service import Service
from .writer import Writer

__all__ = ["Lab", "LabError", "Service", "Unavailable", "Writer", "compare", "invariants", "living_labs"]
