"""Rule list_cases: the checked case table of every data set of the study."""

from pathlib import Path

from cardiouq.data.cases import make_case_table
from cardiouq.errors import reported_to_user
from cardiouq.files import written_whole

with reported_to_user(snakemake.log[0]):
    roots = {
        dataset: (layout, Path(root)) for dataset, (layout, root) in snakemake.params.roots.items()
    }
    cases = make_case_table(roots)
    with written_whole(snakemake.output.cases) as temporary:
        cases.to_csv(temporary, index=False)
