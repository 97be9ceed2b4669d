"""Seeds, the one source of every random choice."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """Derive a seed for one named purpose, independent of every other purpose's.

    Hashing makes it the same on every platform and Python version, and lets epoch k of a run have
    its own seed, so that a resumed run draws what an uninterrupted one would have drawn.

    Returns an integer in [0, 2**63).
    """
    text = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
