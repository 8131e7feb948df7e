"""Randomness as a pure function of (root seed, what for, uid or sample number, index).

There is no state here. Callers with the same arguments draw the same numbers, on any machine and in any order.
"""

import hashlib

import numpy as np


def stable_seed(root: int, *what: str | int) -> int:
    """Derive a seed in [0, 2⁶³) for the use that `what` names, for example `stable_seed(0, "viewpoint", uid, 3)`.

    Each part is hashed with its type and length, so ("ab", "c") and ("a", "bc") differ, and so do 1 and "1".
    """
    # Not Python's `hash`, which differs in each process for text.
    digest = hashlib.blake2b(digest_size=8)
    for part in (root, *what):
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    # Without the top bit it fits a signed 64-bit integer.
    return int.from_bytes(digest.digest(), "little") >> 1


def stable_rng(root: int, *what: str | int) -> np.random.Generator:
    """Make a new NumPy generator (PCG64) for the use that `what` names; see `stable_seed`."""
    return np.random.Generator(np.random.PCG64(stable_seed(root, *what)))
