"""Rule make_plan: what nnU-Net would configure itself to from the training scans."""

from dataclasses import replace
from pathlib import Path

from cardiouq.data.case_table import read_case_table
from cardiouq.data.plan import make_plan
from cardiouq.data.preprocessing import training_intensity
from cardiouq.data.split import cases_of, read_split
from cardiouq.errors import reported_to_user
from cardiouq.files.writing import atomic_write
from cardiouq.study.schema import filled_in

with reported_to_user(snakemake.log[0]):
    cases = cases_of(
        read_case_table(snakemake.input.cases), read_split(snakemake.input.split), "train"
    )
    settings = filled_in(snakemake.params.plan, "plan")
    normalisation = settings.pop("normalisation")
    crop = settings.pop("crop", None)
    plan = make_plan(
        shapes=list(cases[["slices", "rows", "columns"]].itertuples(index=False, name=None)),
        spacings=list(
            cases[["spacing_z", "spacing_y", "spacing_x"]].itertuples(index=False, name=None)
        ),
        **settings,
    )
    plan = replace(
        plan,
        intensity=training_intensity(cases.itertuples(), normalisation),
        crop=tuple(crop) if crop else None,
    )
    with atomic_write(Path(snakemake.output.plan)) as temporary:
        temporary.write_text(plan.to_json(), encoding="utf-8")
