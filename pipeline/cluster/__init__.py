"""The crew that does the work, on Ray: the only room of the pipeline that imports it."""

from pipeline.cluster.crew import Crew, Done
from pipeline.cluster.session import ray_for

__all__ = ["Crew", "Done", "ray_for"]
