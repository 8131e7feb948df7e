"""The crew of workers, on Ray. No other part of the pipeline imports Ray."""

from pipeline.cluster.crew import Crew, FinishedJob
from pipeline.cluster.session import ray_for

__all__ = ["Crew", "FinishedJob", "ray_for"]
