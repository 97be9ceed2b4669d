"""What trainings set for their process is undone."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def nondeterministic() -> Iterator[None]:
    """A test asks for determinism itself, as trainings do for the rest of their process."""
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(False)
