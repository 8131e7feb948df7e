"""What the report of the demo is told."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from app import demo_report
from app.demo_report import FinishedDemo, _train
from tests.train.rows import row
from tests.train.runs import model_settings, train_settings
from train.spec import TrainSummary


def test_rows_without_a_loss_are_no_points_of_its_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_report, "load_model", lambda *_: None)
    monkeypatch.setattr(demo_report, "trained_parts", lambda _: {})
    settings = SimpleNamespace(model=model_settings(), train=train_settings())
    log = (row(8, 0.5), row(16, None), row(24, 0.25))
    training = TrainSummary(24, 1.0, Path("24"), log, first=True)
    told = _train(FinishedDemo(settings, Path(), *[None] * 3, training, {}, ("van", 0), {}))  # type: ignore[arg-type]
    np.testing.assert_array_equal(told.images_seen, [8, 24])
    np.testing.assert_array_equal(told.loss, [0.5, 0.25])
    assert len(told.learning_rate) == 2
    assert [images for images, _ in training.loss_curve] == [8, 24]
