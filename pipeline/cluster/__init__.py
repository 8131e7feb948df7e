"""The crew of workers, on Ray. No other part of the pipeline imports Ray."""

from pipeline.cluster.crew import Crew, Done
from pipeline.cluster.session import ray_for

__all__ = ["Crew", "Done", "ray_for"]
