"""Which runs a study's methods draw from, how often, and which weights a run keeps for them."""

from dataclasses import replace
from functools import cached_property
from typing import Any

from cardiouq.data.plan import Plan
from cardiouq.methods import build_variant
from cardiouq.methods.base import MIRRORED_AXES, BaseVariant, Member, PretrainedMethod
from cardiouq.recipes.schedule import Schedule
from cardiouq.study.settings import Settings


class Members(Settings):
    """A study's settings, and the members of its recipes and methods that follow from them."""

    @cached_property
    def repeats(self) -> dict[str, tuple[str, int]]:
        """Name of every repeat -> the method that it repeats with other seeds, and which it is.

        Repeats count from 1; the first, 0, is the method itself and not among them.
        """
        return {
            f"{name}-repeat-{repeat + 1}": (name, repeat)
            for name, block in self["methods"].items()
            for repeat in range(1, block["repeats"])
        }

    def repeated(self, name: str) -> str:
        """The method that a repeat repeats; a method's own name."""
        return self.repeats.get(name, (name, 0))[0]

    def predicts_distorted(self, name: str) -> bool:
        """Whether distorted scans are predicted: by a method, not by a repeat, as no table tells
        its numbers there."""
        return name not in self.repeats

    def recipe_of(self, name: str) -> str:
        """The recipe of a method or of a repeat; "" of one that trains nothing."""
        return str(self["methods"][self.repeated(name)].get("recipe", ""))

    def schedule_of(self, name: str) -> Schedule:
        """The schedule of the recipe of a method or of a repeat."""
        return self.schedule(self.recipe_of(name))

    def method_members(self, name: str) -> list[Member]:
        """Members of a method or of a repeat, whose seeds are the next that are not used."""
        members = self.methods[self.repeated(name)].members()
        _, repeat = self.repeats.get(name, (name, 0))
        seeds = 1 + max((member.seed for member in members), default=0)
        return [replace(member, seed=member.seed + repeat * seeds) for member in members]

    def sample_count(self, name: str, plan: Plan) -> int:
        """Number of samples that a method or a repeat draws on the test sets.

        Args:
            name: of the method or the repeat.
            plan: of the study, or a guess as long as it is not made.
        """
        method = self.methods[self.repeated(name)]
        if isinstance(method, PretrainedMethod):
            return method.sample_count()
        return method.sample_count(self.schedule_of(name), plan)

    def network_passes(self, name: str) -> int:
        """How often a slice goes through a network for a method to predict it."""
        method = self.methods[name]
        if isinstance(method, PretrainedMethod):
            return method.passes()
        images = 2 ** len(MIRRORED_AXES) if self["prediction"]["mirroring"] else 1
        return images * method.network_passes(self.schedule_of(name))

    def pretrained(self) -> dict[str, PretrainedMethod]:
        """The methods that train nothing."""
        found = self.methods.items()
        return {name: method for name, method in found if isinstance(method, PretrainedMethod)}

    def members(self, recipe: str) -> list[Member]:
        """Members of a recipe that some method uses, or some run branches from."""
        used = self._used_members(recipe)
        for branching in self._branches_of(recipe):
            used |= {replace(member, branch=None) for member in self._used_members(branching)}
        return sorted(used, key=str)

    def keep_epochs(self, recipe: str, member: Member) -> list[int]:
        """Epochs whose weights a run keeps: those that a method uses."""
        schedule = self.schedule(recipe)
        return sorted(
            {
                epoch
                for name in self._users_of(recipe)
                if member in self.method_members(name)
                for epoch in self.methods[self.repeated(name)].checkpoint_epochs(schedule)
            }
        )

    def branch_epochs(self, recipe: str, member: Member) -> list[int]:
        """Epochs after which a run keeps its whole state, for others to branch from."""
        return sorted(
            {
                self.branch_epoch(branching)
                for branching in self._branches_of(recipe)
                if any(replace(m, branch=None) == member for m in self._used_members(branching))
            }
        )

    def branch_epoch(self, recipe: str) -> int:
        """The last epoch that the runs of a recipe share with the one that they branch from."""
        branch = self["recipes"][recipe]["branch"]
        epochs = self.schedule(branch["from"]).epochs
        shared: int = min(max(round(epochs * branch["at"]), 1), epochs - 1)  # each trains some
        return shared - 1

    def own_epochs(self, recipe: str) -> int:
        """How many epochs a run of a recipe trains itself; a branch has its first from its base."""
        shared = self.branch_epoch(recipe) + 1 if "branch" in self["recipes"][recipe] else 0
        return self.schedule(recipe).epochs - shared

    def base_run(self, recipe: str, member: Member) -> tuple[str, Member] | None:
        """Recipe and member of the run that a run branches from."""
        branch = self["recipes"][recipe].get("branch")
        return (branch["from"], replace(member, branch=None)) if branch else None

    def trajectory_method(self) -> str | None:
        """The method that samples the most cycles of a run, for the figures of a trajectory."""
        cycles = {name: method.cycles_sampled() for name, method in self.methods.items()}
        most = max(cycles, key=cycles.__getitem__)
        return most if cycles[most] else None

    def variant(self, method: str) -> BaseVariant:
        """How the runs of a method or of a repeat are trained."""
        return build_variant(self._recipe(method).get("variant"))

    @cached_property
    def styles(self) -> dict[str, tuple[str | None, str | None]]:
        """Method -> colour and marker in figures; None: those of a spare style.

        The colour is the study's, else what the variant or the method itself says.
        """
        return {name: self._style(name) for name in self.methods}

    def _style(self, name: str) -> tuple[str | None, str | None]:
        own = self.variant(name).style or self.methods[name].style(self._recipe(name))
        colour, marker = own or (None, None)
        return self["methods"][name].get("colour", colour), marker

    def _recipe(self, name: str) -> dict[str, Any]:
        """The settings of the recipe of a method or of a repeat; none if it trains nothing."""
        settings: dict[str, Any] = self["recipes"].get(self.recipe_of(name), {})
        return settings

    def _users_of(self, recipe: str) -> list[str]:
        """Methods and repeats that draw from a recipe's runs."""
        names = (*self.methods, *self.repeats)
        return [name for name in names if self.recipe_of(name) == recipe]

    def _used_members(self, recipe: str) -> set[Member]:
        """Members of a recipe that some method uses."""
        return {member for name in self._users_of(recipe) for member in self.method_members(name)}

    def _branches_of(self, recipe: str) -> list[str]:
        """Recipes whose runs branch from those of a recipe."""
        blocks = self["recipes"].items()
        return [name for name, block in blocks if block.get("branch", {}).get("from") == recipe]
