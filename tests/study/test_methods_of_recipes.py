"""A method that cannot draw from the runs of its recipe is refused before these are trained."""

from pathlib import Path

import pytest

from tests.study.changes import MakeStudy, Settings, problems_of

OWN = """from dataclasses import dataclass

from cardiouq.methods import evidential


@dataclass(frozen=True)
class Method(evidential.Method):
    pass


@dataclass(frozen=True)
class Variant(evidential.Variant):
    pass
"""


@pytest.mark.parametrize("recipe", ["polynomial", "hmc", "stochastic_segmentation"])
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("bbb", "bayes_by_backprop"),
        ("evidential", "evidential"),
        ("layer_ensemble", "layer_ensemble"),
        ("ssn", "stochastic_segmentation"),
    ],
)
def test_method_of_a_variant_needs_it(
    make_study: MakeStudy, tiny: Settings, name: str, method: str, recipe: str
) -> None:
    if recipe == method:
        recipe = "evidential"
    tiny["methods"][name]["recipe"] = recipe
    variant = tiny["recipes"][recipe].get("variant")
    has = f"the variant {variant['name']!r}" if variant else "no `variant`"
    assert problems_of(make_study, tiny) == [
        f"methods.{name}: does not go with recipe {recipe!r}: it has {has}; {method} draws from "
        f"runs with `variant: {{name: {method}}}`"
    ]


def test_branches_that_are_not_biased_are_no_calibrated_ensemble(
    make_study: MakeStudy, tiny: Settings
) -> None:
    del tiny["recipes"]["biased"]["variant"]
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith(
        "methods.calibrated_ensemble: does not go with recipe 'biased': it has no `variant`"
    )


@pytest.mark.parametrize(
    "recipe", ["bayes_by_backprop", "evidential", "layer_ensemble", "stochastic_segmentation"]
)
@pytest.mark.parametrize("name", ["vanilla", "deep_ensemble", "test_time_augmentation"])
def test_what_no_logits_come_out_of_is_for_its_own_method_alone(
    make_study: MakeStudy, tiny: Settings, name: str, recipe: str
) -> None:
    tiny["methods"][name]["recipe"] = recipe
    assert problems_of(make_study, tiny) == [
        f"methods.{name}: does not go with recipe {recipe!r}: it has the variant {recipe!r}, whose "
        f"networks only the method {recipe!r} can draw from; set another recipe"
    ]


def test_dropout_of_rate_0_is_no_mc_dropout(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["methods"]["mc_dropout"]["recipe"] = "polynomial"
    assert problems_of(make_study, tiny) == [
        "methods.mc_dropout: does not go with recipe 'polynomial': its `dropout.p` is 0, which "
        "makes all passes equal; expected a rate above 0"
    ]


def test_as_many_heads_are_skipped_as_there_may_be(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["methods"]["layer_ensemble"]["skip"] = 8
    assert problems_of(make_study, tiny) == [
        "methods.layer_ensemble: does not go with recipe 'layer_ensemble': `skip` is 8; expected 7 "
        "at most, as networks of at most 4 stages (`plan.max_stages`) have 8 heads"
    ]
    tiny["methods"]["layer_ensemble"]["skip"] = 7
    assert make_study(tiny)
    tiny["methods"]["layer_ensemble"]["skip"] = 8
    tiny["plan"]["max_stages"] = None  # as many as the plan will have
    assert make_study(tiny)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("vanilla", "hmc"), ("swag", "hmc"), ("deep_ensemble", "dropout"), ("vanilla", "biased")],
)
def test_plain_output_is_for_every_method(
    make_study: MakeStudy, tiny: Settings, name: str, recipe: str
) -> None:
    """A calibrated ensemble's variant without a branch is that of w = 0, the plain loss."""
    for each in ("calibrated_ensemble", *(["vanilla"] if name == "vanilla" else [])):
        del tiny["methods"][each]
    tiny["reporting"].pop("reference", None)
    tiny["recipes"]["biased"].pop("branch")
    tiny["methods"][name] = tiny["methods"].get(name, {"method": "single", "label": "V"})
    tiny["methods"][name]["recipe"] = recipe
    assert make_study(tiny).methods[name]


def test_variant_that_is_refused_is_told_once(make_study: MakeStudy, tiny: Settings) -> None:
    tiny["recipes"]["cyclical"]["variant"] = {"name": "nowhere.py"}
    [problem] = problems_of(make_study, tiny)
    assert problem.startswith("recipes.cyclical.variant.name: ")


@pytest.mark.parametrize(
    ("method", "variant", "is_refused"),
    [
        ("mine.py", "evidential", False),
        ("evidential", "mine.py", False),
        ("mine.py", "mine.py", False),
        ("mine.py", None, True),
        ("single", "mine.py", True),
    ],
)
def test_file_of_the_user_s_says_itself_what_it_goes_with(
    make_study: MakeStudy,
    tiny: Settings,
    tmp_path: Path,
    method: str,
    variant: str | None,
    is_refused: bool,
) -> None:
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    tiny["recipes"]["own"] = tiny["recipes"]["polynomial"] | (
        {"variant": {"name": variant}} if variant else {}
    )
    tiny["methods"]["own"] = {"method": method, "label": "Own", "recipe": "own"}
    if is_refused:
        [problem] = problems_of(make_study, tiny)
        assert problem.startswith("methods.own: does not go with recipe 'own': it has ")
    else:
        assert make_study(tiny)


def test_method_of_the_user_s_tells_its_problems(
    make_study: MakeStudy, tiny: Settings, tmp_path: Path
) -> None:
    code = OWN.replace(
        "    pass", "    needs_variant = None\n\n    def problems(self, recipe, plan):", 1
    )
    code = code.replace(
        "plan):", 'plan):\n        yield f\'{recipe["batch_size"]} {plan["crop"]}\''
    )
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    tiny["methods"]["vanilla"] = {"method": "mine.py", "label": "Own", "recipe": "polynomial"}
    [problem] = problems_of(make_study, tiny)
    assert problem.endswith("mine.py, line 11: KeyError: 'crop'")
    tiny["plan"]["crop"] = [32, 32]
    assert problems_of(make_study, tiny) == [
        "methods.vanilla: does not go with recipe 'polynomial': 4 [32, 32]"
    ]
