"""What is wrong with a study beyond what its schema says. Imports no torch."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.data.distortions import KINDS as DISTORTIONS
from cardiouq.data.distortions import distort
from cardiouq.data.phantom.groups import GROUPS
from cardiouq.data.readers.adapters import ADAPTERS
from cardiouq.data.readers.found import TRAINING
from cardiouq.data.readers.labels import speaks_of_unknown
from cardiouq.data.split import hold_out, parts_of, split_subjects
from cardiouq.errors import CardiouqError
from cardiouq.files.documents import declaration_problem, schema_problems
from cardiouq.files.tables import parse_rows
from cardiouq.methods import (
    COMMON_KEYS,
    build_method,
    build_variant,
    is_own,
    method_class,
    method_names,
    place_of,
    raised_in,
    variant_class,
)
from cardiouq.methods.base import BaseMethod, BaseVariant, PretrainedMethod, SampledOutput
from cardiouq.methods.settings import SettingError, settings_schema
from cardiouq.structures import FOREGROUND, IGNORE, PHANTOM
from cardiouq.study.settings import Settings

TINY_SCAN = np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.ones((2, 2, 2), np.uint8)
"""Image and label on which degrees are tried, so that one is refused before any training."""


def study_problems(study: Settings) -> list[str]:
    """Every misspelt name and every inconsistency, in words."""
    return [
        *_reference_problems(study),
        *_label_problems(study),
        *_source_problems(study),
        *_limit_problems(study),
        *_schedule_problems(study),
        *_split_problems(study),
        *_test_set_problems(study),
        *_distortion_problems(study),
        *_structure_problems(study),
        *_published_problems(study),
        *_recipe_problems(study),
        *_method_problems(study),
    ]


def _reference_problems(study: Settings) -> Iterator[str]:
    """References to names that the study does not define."""
    for place, key, value, allowed in _references(study):
        if value not in allowed:
            yield f"{place}.{key}: {value!r} is not one of {sorted(allowed)}"


def _references(study: Settings) -> Iterator[tuple[str, str, str, Collection[str]]]:
    """Block, key and value of each reference to a name, and the names that there are."""
    datasets, recipes = study["datasets"], study["recipes"]
    yield "split", "dataset", study["split"]["dataset"], datasets
    of_papers = _test_sets_of_papers(study)
    for test_set, block in study["test_sets"].items():
        yield f"test_sets.{test_set}", "dataset", block["dataset"], datasets
        if block["published"]:
            yield f"test_sets.{test_set}", "published", block["published"], of_papers
    if "distortions" in study:
        distorted = study["distortions"]
        yield "distortions", "test_set", distorted["test_set"], study["test_sets"]
        yield from (("distortions", "kinds", kind, DISTORTIONS) for kind in distorted["kinds"])
        degrees = {f"{d['kind']}-{d['place']}" for d in study.distorted_test_sets().values()}
        for degree, called in distorted["published"].items():
            yield "distortions", "published", degree, degrees
            yield "distortions.published", degree, called, of_papers
    for method, block in study["methods"].items():
        if "recipe" in block:
            yield f"methods.{method}", "recipe", block["recipe"], recipes
        if "reading_of" in block:
            own = {name for name, other in study["methods"].items() if "reading_of" not in other}
            yield f"methods.{method}", "reading_of", block["reading_of"], own
    if "reference" in study["reporting"]:
        yield "reporting", "reference", study["reporting"]["reference"], study["methods"]
    for recipe, block in recipes.items():
        if "branch" in block:
            yield f"recipes.{recipe}.branch", "from", block["branch"]["from"], recipes


def _test_sets_of_papers(study: Settings) -> set[str]:
    """What the papers call their test sets."""
    files = (study.config_folder / "published").glob("*.csv")
    named = (parse_rows(file.read_bytes(), file, {})["test_set"] for file in files)
    return {name for names in named for name in names} - {""}


def _label_problems(study: Settings) -> Iterator[str]:
    """Labels that two methods or two test sets have, which no table or figure could tell apart."""
    for kind in ("methods", "test_sets"):
        first_with: dict[str, str] = {}
        for name, block in study[kind].items():
            first = first_with.setdefault(block["label"], name)
            if first != name:
                yield (
                    f"{kind}.{name}.label: {block['label']!r} is the label of {kind}.{first} too, "
                    "and tables and figures tell them apart by it; change one"
                )


def _source_problems(study: Settings) -> Iterator[str]:
    """Sources that are no folder's path, nor what stands for one."""
    known = [PHANTOM, *(key for key in study.local_config if key.endswith("_root"))]
    for dataset, block in study["datasets"].items():
        source = block["source"]
        if "/" not in source and source not in known:
            hint = f"; for the folder beside the study's file write ./{source}"
            yield (
                f"datasets.{dataset}.source: {source!r} is not one of {sorted(known)}, nor a path, "
                f"which has a `/`{hint if study.beside(source).is_dir() else ''}"
            )


def _limit_problems(study: Settings) -> Iterator[str]:
    """Limits of what is poor that are of no structure, and structures that lack one."""
    limited = sorted([*study.structures, FOREGROUND])
    for level in ("volume", "slice"):
        place = f"evaluation.poor.{level}"
        poor = study["evaluation"]["poor"][level]
        limits = poor.keys() - {"metric"}
        if poor["metric"] == "dice":
            yield from (
                f"{place}.{name}: {poor[name]}; expected a Dice, 0 to 1"
                for name in sorted(limits)
                if poor[name] > 1
            )
        for name in sorted(limits.difference(limited)):
            yield f"{place}.structure: {name!r} is not one of {limited}"
        missing = [name for name in study.structures if name not in limits]
        if level == "slice" and missing:
            yield f"{place}: no limit for {missing}; quality control is of all structures"


def _schedule_problems(study: Settings) -> Iterator[str]:
    """Ranges that go down, rates that never fall, and cycles that do not divide their epochs."""
    for recipe, block in study["recipes"].items():
        low, high = block["augmentation"]["scale"]
        if low > high:
            yield (
                f"recipes.{recipe}.augmentation.scale: [{low}, {high}] goes down; expected the "
                "smaller number first"
            )
        schedule = block["schedule"]
        if schedule["name"] == "step" and schedule["after"] >= schedule["epochs"]:
            yield (
                f"recipes.{recipe}.schedule.after: {schedule['after']}; expected an epoch before "
                f"the last of {schedule['epochs']}"
            )
        try:
            study.schedule(recipe)
        except ValueError as error:
            yield f"recipes.{recipe}.schedule: {error}"


def _split_problems(study: Settings) -> Iterator[str]:
    """A split or folds that leave a side to no one, of a phantom as its subjects are known."""
    settings = study["split"]
    fractions = settings["validation_fraction"], settings["test_fraction"]
    if sum(fractions) >= 1:
        yield f"split: fractions {list(fractions)} leave no one to train on; expected a sum below 1"
        return
    dataset = study["datasets"].get(settings["dataset"], {})
    if dataset.get("source") != PHANTOM or PHANTOM not in study:
        return
    subjects = _subjects_of_phantom(study)
    try:
        split = split_subjects(subjects, settings["dataset"], *fractions, study["seed"])
    except CardiouqError as error:
        yield f"split: {error}"
        return
    for name, block in study["methods"].items():
        if isinstance(folds := block.get("folds"), int):  # a model's are a list
            try:
                hold_out(subjects, split, 0, folds, study["seed"])
            except CardiouqError as error:
                yield f"methods.{name}.folds: {error}"


def _subjects_of_phantom(study: Settings) -> pd.DataFrame:
    """What a split asks of the case table, of the phantom that is split."""
    dataset, sizes = study["split"]["dataset"], study[PHANTOM]
    pathologies = {
        "acdc": [GROUPS[n % len(GROUPS)] for n in range(sizes["acdc_subjects"])],
        "mnms": [""] * (2 * sizes["mnms_subjects_per_vendor"]),  # of the vendors A and B
    }[study["datasets"][dataset]["layout"]]
    subjects = [str(number) for number in range(len(pathologies))]
    return pd.DataFrame(
        {
            "dataset": dataset,
            "part": TRAINING,
            "subject": subjects,
            "pathology": pathologies,
            "image_identity": subjects,
        }
    )


def _test_set_problems(study: Settings) -> Iterator[str]:
    """Parts and sides that a data set has not, and names that some disks take for one."""
    datasets, split = study["datasets"], study["split"]["dataset"]
    trains = any("recipe" in block for block in study["methods"].values())
    for test_set, block in study["test_sets"].items():
        parts = parts_of(block)
        if block["dataset"] in datasets:
            known = ADAPTERS[datasets[block["dataset"]]["layout"]].parts or parts
            for part in (part for part in parts if part not in known):
                yield f"test_sets.{test_set}.part: {part!r} is not one of {list(known)}"
        is_split = block["dataset"] == split
        if "split" in block and split in datasets and not is_split:
            yield f"test_sets.{test_set}.split: {block['dataset']!r} is not split; {split!r} is"
        elif "split" in block and parts != [TRAINING]:
            yield f"test_sets.{test_set}.split: only the part {TRAINING!r} is split"
        elif "split" not in block and is_split and TRAINING in parts and trains:
            yield (
                f"test_sets.{test_set}: has the subjects that are trained on; set no part but "
                f"{TRAINING!r}, and `split: validation` or `test`"
            )
        if block.get("split") == "test" and not study["split"]["test_fraction"]:
            yield f"test_sets.{test_set}.split: 'test' needs `split.test_fraction`"
    alike = Counter(map(str.casefold, study["test_sets"]))
    for test_set in study["test_sets"]:
        if alike[test_set.casefold()] > 1:
            yield (
                f"test_sets.{test_set}: another differs in capital letters alone, and their "
                "folders are the same on some disks; rename one"
            )


def _distortion_problems(study: Settings) -> Iterator[str]:
    """Degrees that do not grow, or that a scan cannot be distorted by."""
    kinds = study["distortions"]["kinds"] if "distortions" in study else {}
    for kind, degrees in kinds.items():
        if degrees != sorted(set(degrees)):
            yield f"distortions.kinds.{kind}: {degrees} does not grow from degree to degree"
        for degree in degrees if kind in DISTORTIONS else ():
            try:
                distort(*TINY_SCAN, kind, degree, (1.0, 1.0, 1.0), seed=0)
            except CardiouqError as error:
                yield f"distortions.kinds.{kind}: {error}"


def _structure_problems(study: Settings) -> Iterator[str]:
    """Structures that are what nobody annotated, and a phantom without its size, or the reverse."""
    for name in filter(speaks_of_unknown, study.structures):
        yield (
            f"structures: {name!r} is no structure; what nobody annotated is `{IGNORE}` of a data "
            "set's `labels`"
        )
    generated = any(block["source"] == PHANTOM for block in study["datasets"].values())
    if generated and PHANTOM not in study:
        yield "phantom: missing, but a data set's source is phantom"
    if PHANTOM in study and not generated:
        yield "phantom: no data set's source is phantom; remove the block"


def _published_problems(study: Settings) -> Iterator[str]:
    """Papers beside scans of one's own, of which no paper gives a number."""
    datasets = study["datasets"]
    own = {name for name, block in datasets.items() if ADAPTERS[block["layout"]].is_own}
    for test_set, block in study["test_sets"].items():
        if block["published"] and block["dataset"] in own:
            yield (
                f"test_sets.{test_set}.published: {block['published']!r} is the paper's test set, "
                f"and {block['dataset']!r} holds scans of your own; set it to null"
            )
    paper = study["reporting"]["published"]
    if paper and own == set(datasets):
        yield (
            f"reporting.published: {paper!r} has no number of scans of your own, which are all "
            "that the study has; set it to null"
        )


def _recipe_problems(study: Settings) -> Iterator[str]:
    """Variants and branches that do not go with their recipe."""
    for name, block in study["recipes"].items():
        place = f"recipes.{name}"
        if "variant" in block:
            found = _settings_problems(
                f"{place}.variant", block["variant"], "name", ("name",), variant_class
            )
            yield from found
            if not found:
                written = study.written["recipes"][name]  # no default is asked for
                for problem in build_variant(block["variant"]).problems(written):
                    yield f"{place}.{problem}"
        base = study["recipes"].get(block.get("branch", {}).get("from"), {})
        if "branch" in base:
            yield f"{place}.branch.from: {block['branch']['from']!r} is a branch itself"
        elif _only_reader(base.get("variant", {}).get("name", "")):
            yield (
                f"{place}.branch.from: {block['branch']['from']!r} has the variant "
                f"{base['variant']['name']!r}, whose networks only its own method can go on with"
            )
        elif base and base["schedule"]["epochs"] != block["schedule"]["epochs"]:
            yield (
                f"{place}.schedule.epochs: {block['schedule']['epochs']}; expected the "
                f"{base['schedule']['epochs']} of the recipe that it branches from"
            )
        elif base and block["schedule"]["epochs"] < 2:
            yield f"{place}.branch: expected 2 epochs or more, as base and branch train one each"
        for key in ("optimiser", "dropout", "deep_supervision"):  # whose state it takes over
            if base and base[key] != block[key]:
                yield f"{place}.{key}: {block[key]}; expected the {base[key]} of its base"


def _method_problems(study: Settings) -> Iterator[str]:
    """Methods whose settings are wrong, or that do not go with their recipe or their model."""
    for name, block in study["methods"].items():
        place = f"methods.{name}"
        found = _settings_problems(place, block, "method", COMMON_KEYS, method_class)
        yield from found
        if found:
            continue
        try:
            if issubclass(method_class(block["method"]), PretrainedMethod):
                yield from _model_problems(study, place, block)
            else:
                yield from _drawing_problems(study, place, block)
        except ValueError as error:
            with_recipe = f" with recipe {block['recipe']!r}" if "recipe" in block else ""
            yield f"{place}: does not go{with_recipe}: {error}"
        except Exception as error:
            if not is_own(block["method"]):
                raise
            yield f"{place}.method: {raised_in(block['method'], error)}"


def _model_problems(study: Settings, place: str, block: Mapping[str, Any]) -> Iterator[str]:
    """A model that is not there or that a method cannot predict with, and what only runs have."""
    for key in ("recipe", "repeats"):
        if key in study.written["methods"][place.removeprefix("methods.")]:
            yield f"{place}.{key}: {block['method']} trains nothing; remove the key"
    if "model" not in block:
        yield f"{place}.model: missing; expected the folder of what was trained"
        return
    method = build_method(block)
    assert isinstance(method, PretrainedMethod)
    try:
        method.check(study.structures)
    except CardiouqError as error:
        yield f"{place}.model: {error}"


def _drawing_problems(study: Settings, place: str, block: Mapping[str, Any]) -> Iterator[str]:
    """A method that does not go with its recipe, or that would be tested on what it fits."""
    if "recipe" not in block:
        yield f"{place}.recipe: missing; {block['method']} draws from the runs of one"
    recipe = study["recipes"].get(block.get("recipe"))
    if recipe is None:
        return
    method, schedule = build_method(block), study.schedule(block["recipe"])
    for problem in (
        *_variant_problems(block["method"], method, recipe),
        *method.problems(recipe, study["plan"]),
        *_mirroring_problems(study, method),
    ):
        yield f"{place}: does not go with recipe {block['recipe']!r}: {problem}"
    epochs, members = method.checkpoint_epochs(schedule), method.members()
    if outside := [epoch for epoch in epochs if not 0 <= epoch < schedule.epochs] or not epochs:
        yield (
            f"{place}: does not go with recipe {block['recipe']!r}: asks for the weights of "
            f"epochs {outside or epochs}; expected some of 0 to {schedule.epochs - 1}"
        )
    branches = "branch" in recipe
    if branches != any(member.branch is not None for member in members):
        yield (
            f"{place}.recipe: {block['recipe']!r} has {'a' if branches else 'no'} "
            f"`branch`, which {block['method']} {'does not use' if branches else 'needs'}"
        )
    selects = "selection" in recipe
    if selects and epochs != [schedule.epochs - 1]:
        yield (
            f"{place}.recipe: {block['recipe']!r} has a `selection` and keeps one epoch's "
            f"weights; {block['method']} needs several"
        )
    held_out = [member.fold is None for member in members]
    does = "selects weights" if selects and any(held_out) else ""
    if method.fits() and all(held_out):
        does = "fits"
    if does:
        yield from (
            f"{place}: {does} on the validation side, which the test set {test_set!r} has "
            "too; set `split.test_fraction` and test on `split: test`, or set `folds`"
            for test_set, tested in study["test_sets"].items()
            if tested["dataset"] == study["split"]["dataset"]
            and tested.get("split") == "validation"
        )


def _mirroring_problems(study: Settings, method: BaseMethod) -> Iterator[str]:
    """Mirror images of a network whose output is no logits, so that a mean of it means nothing."""
    if study["prediction"]["mirroring"] and isinstance(method, SampledOutput):
        yield "its network puts out a law of logits; set `prediction.mirroring: false`"


def _variant_problems(name: str, method: BaseMethod, recipe: Mapping[str, Any]) -> Iterator[str]:
    """A variant whose networks a method cannot read, or that it needs and the recipe has not.

    Of what is in a file of the user's, this file does not know what goes together.
    """
    variant = recipe.get("variant", {}).get("name", "")
    has = f"it has the variant {variant!r}" if variant else "it has no `variant`"
    if method.needs_variant:
        if variant != method.needs_variant and not is_own(variant):
            yield f"{has}; {name} draws from runs with `variant: {{name: {method.needs_variant}}}`"
    elif not is_own(name) and _only_reader(variant) not in ("", type(method).__module__):
        yield f"{has}, whose networks only the method {variant!r} can draw from; set another recipe"


def _only_reader(variant: str) -> str:
    """Module of the one method that can draw from a variant's networks; "" if others can."""
    try:
        kind = variant_class(variant)
    except (KeyError, CardiouqError):  # there is none, or it is refused with its recipe
        return ""
    return kind.__module__ if kind.only_own_method else ""


def _settings_problems(
    place: str,
    block: Mapping[str, Any],
    key: str,
    common: Sequence[str],
    find: Callable[[str], type[BaseMethod] | type[BaseVariant]],
) -> list[str]:
    """What is wrong with the settings of a method or a variant, named by `block[key]`."""
    where, called = f"{place}.{key}", "Method" if key == "method" else "Variant"
    try:
        kind = find(block[key])
    except CardiouqError as error:
        return [f"{where}: {error}"]
    except KeyError:
        return [
            f"{where}: {block[key]!r} is not one of {method_names()}, nor the path of a file with "
            f"a class {called} that is a Base{called}"
        ]
    try:
        settings = settings_schema(kind)
    except (SettingError, NameError) as error:  # of a name that an annotation speaks of
        of_field = getattr(error, "field", "")
        return [f"{where}: {place_of(kind, of_field)}, class {called}: {error}"]
    for name, declared in settings.items():
        if problem := declaration_problem(declared):
            place_of_field = place_of(kind, name)
            return [f"{where}: {place_of_field}, class {called}: setting `{name}`: {problem}"]
    schema = {
        "type": "object",
        "properties": dict.fromkeys(common, True) | settings,
        "additionalProperties": False,
    }
    return [f"{place}.{problem}" for problem in schema_problems(block, schema)]
