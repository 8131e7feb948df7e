"""Rows of a training log."""

from train.log import LogRow
from train.step import BUCKETS


def row(images: int, loss: float | None) -> LogRow:
    """A row where every step was taken, or where all were skipped."""
    return LogRow(
        images=images,
        loss=loss,
        loss_by_timestep=(loss,) * BUCKETS,
        gradient_norm=loss,
        learning_rate=1e-4,
        projection_rate=1e-3,
        images_per_s=100.0,
        mfu=None,
        data_wait=0.0,
        skipped=0,
    )
