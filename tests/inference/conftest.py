import pytest

from app.settings import load_settings
from render.settings import RenderSettings


@pytest.fixture(scope="session")
def render_settings() -> RenderSettings:
    return load_settings(None).render
