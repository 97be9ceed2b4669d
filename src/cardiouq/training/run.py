"""A run to train: a recipe, one of its members, and the data they meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cardiouq.data.plan import Plan
from cardiouq.methods.base import Member
from cardiouq.recipes.schedule import Schedule, build_schedule
from cardiouq.seeds import derive
from cardiouq.study.schema import filled_in


@dataclass(frozen=True)
class Run:
    """A recipe and one of its members, and the data they meet."""

    recipe_name: str
    recipe: Mapping[str, Any]
    """As the study's file has it, which is what the run is known by."""
    member: Member
    seed: int
    keep_epochs: Sequence[int]
    branch_epochs: Sequence[int]
    """Epochs after which the whole state is kept, for other runs to start from."""
    plan: Plan
    arrays: Path
    train_cases: tuple[str, ...]
    validation_cases: tuple[str, ...]
    fingerprint: str
    """Fingerprint of the training data and the plan; a prediction asks for the same."""
    base: str | None = None
    """File with the state of the run that this one branches from."""

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The recipe with the defaults of what it leaves out, which is what is trained."""
        filled: Mapping[str, Any] = filled_in(self.recipe, "recipes", self.recipe_name)
        return filled

    @property
    def schedule(self) -> Schedule:
        """The learning rate of every epoch."""
        return build_schedule(self.settings["schedule"])

    @property
    def steps(self) -> int:
        """Steps of the whole schedule."""
        return self.schedule.epochs * int(self.settings["iterations_per_epoch"])

    def seed_for(self, *purpose: str | int) -> int:
        """Derive the seed of one purpose in this run; an epoch's depends on nothing before it."""
        return derive(self.seed, self.recipe_name, str(self.member), *purpose)

    def identity(self) -> dict[str, Any]:
        """Content of the run's `run.json`."""
        return {
            "recipe_name": self.recipe_name,
            "recipe": self.recipe,
            "member": str(self.member),
            "seed": self.seed,
            "keep_epochs": list(self.keep_epochs),
            "branch_epochs": list(self.branch_epochs),
            "data_fingerprint": self.fingerprint,
        }
