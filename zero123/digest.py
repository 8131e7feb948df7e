"""The digest of a model's files."""

from pathlib import Path

from base.digest import digest_json, sha256_file


def model_digest(checkpoint: Path) -> str:
    """Digest all weights and configuration of a checkpoint, which is a folder or a file."""
    if checkpoint.is_file():
        return sha256_file(checkpoint)[:16]
    # The training state changes no view.
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and "training_state" not in path.parts)
    return digest_json([[str(path.relative_to(checkpoint)), sha256_file(path)] for path in files])
