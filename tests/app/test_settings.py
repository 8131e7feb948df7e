"""The shipped settings: complete, strict, and the same file that Ray takes."""

from pathlib import Path

import pytest
import yaml

from app.commands.demo import PRESETS
from app.settings import Settings, load_settings, preset_names
from base.errors import UsageError

SHIPPED = Path(__file__).parents[2] / "pipeline.yaml"


def test_the_shipped_file_is_whole() -> None:
    assert load_settings(SHIPPED).render.views == 12


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_fits_the_shipped_file(preset: str) -> None:
    assert load_settings(SHIPPED, [preset]).digest()


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_what_a_preset_renders_is_what_its_model_takes(preset: str) -> None:
    settings = load_settings(SHIPPED, [preset])
    assert settings.render.hw == settings.model.hw


def test_the_demo_holds_out_two_views_of_each_object() -> None:
    settings = load_settings(SHIPPED, list(PRESETS))
    assert settings.train.init == "mini"
    assert settings.train.held_out_views == settings.evaluate.held_out_views == 2
    assert settings.model.hw == settings.render.hw
    assert 8 * 2 * settings.evaluate.inputs_per_object >= 32
    assert settings.evaluate.minimum_margin_db >= 3.0
    assert settings.evaluate.minimum_silhouette_iou >= 0.8


def test_what_dry_run_prints_is_read_back_as_the_same_settings(tmp_path: Path) -> None:
    settings = load_settings(SHIPPED, ["tiny"], ["render.samples=3"])
    printed = tmp_path / "printed.yaml"
    printed.write_text(settings.as_yaml())
    assert load_settings(printed) == settings


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("render.sample=4", "--set: render.sample: expected no such key, got 4"),
        ("render.samples=many", "--set: render.samples: expected a valid integer, got 'many'"),
        ("render.samples=0", "--set: render.samples: expected greater than or equal to 1, got 0"),
        ("rendering.samples=4", "--set: rendering: expected no such key, got {'samples': 4}"),
        ("shards.val_fraction=1.5", "--set: shards.val_fraction: expected less than 1, got 1.5"),
        ("render.hw=[128]", "--set: render.hw.1: expected a value, got nothing"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_dotted_path(assignment: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(SHIPPED, [], [assignment])
    assert str(caught.value) == sentence


def test_every_value_stands_in_the_file() -> None:
    """No model may hide a result-changing default in Python."""
    shipped = yaml.safe_load(SHIPPED.read_text())["metadata"]["pipeline"]
    for name, section in Settings.model_fields.items():
        assert set(section.annotation.model_fields) == set(shipped[name]), name  # type: ignore[union-attr]


def test_an_unknown_preset_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"--preset: expected any of .*tiny.*, got 'huge'"):
        load_settings(SHIPPED, ["huge"])


def test_a_file_without_our_sections_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("cluster_name: x\n")
    with pytest.raises(UsageError, match=r"cluster\.yaml: metadata\.pipeline: expected a mapping"):
        load_settings(path)
