"""Apply: a model on scans of one's own, each segmented in a job, and what comes of all."""

from snakemake.io import contains_wildcard

from cardiouq.apply.apply import FORMAT, JOBS, VIEWER, check_output, failed_names
from cardiouq.apply.dicom import as_nifti
from cardiouq.apply.model_folder import changing_file, digest_of, structures_of
from cardiouq.apply.scans import find_scans
from cardiouq.reporting.viewer.page import PAGE
from cardiouq.device.environment import gpus_per_job, prepare_environment
from cardiouq.errors import ProblemsError
from cardiouq.files.documents import check_schema
from cardiouq.files.writing import check_writable, expand_home
from cardiouq.logs import printable
from cardiouq.study.schema import schema_of

try:
    check_schema(config, schema_of("config"), "config.yaml")
    MODEL, OUT = (str(expand_home(config[key])) for key in ("model", "out"))
    SCANS = find_scans(as_nifti(config["scans"], Path(OUT)))
    check_output(Path(OUT), SCANS)
    places = {OUT: OUT, MODEL: MODEL} | {
        str(path): name for name, path in SCANS.items()
    }
    if odd := [
        printable(path)
        for path, name in places.items()
        if contains_wildcard(path) or contains_wildcard(name) or printable(path) != path
    ]:
        raise ProblemsError(
            "Snakemake works on no such paths, as it takes {...} for a wildcard, and bytes for "
            "UTF-8; rename them, or call `cardiouq apply`, which takes any:",
            odd,
        )
    check_writable(Path.cwd(), Path(OUT))
    prepare_environment(config["device"], structures_of(Path(MODEL)), in_conda=IN_CONDA)
    VERSION = f"{FORMAT} {digest_of(Path(MODEL))}"
except CardiouqError as error:
    sys.exit(f"\nERROR: {error}\n")


rule apply:
    """Write the tables and the page of all scans, and say which could not be segmented."""
    default_target: True
    input:
        [f"{OUT}/{JOBS}/{name}.done" for name in SCANS],
    # no output, which would be removed after the error that a scan cannot be read
    log:
        f"{OUT}/apply.log",
    conda:
        "../../envs/environment.yaml"
    params:
        model=MODEL,
        scans=lambda wildcards: config["scans"],
        out=lambda wildcards, input: str(Path(input[0]).parents[1]),
        device=config["device"],
    shell:
        "python -m cardiouq.cli apply {params.model:q} {params.scans:q} {params.out:q}"
        " --device {params.device} --of-jobs > {log:q} 2>&1"


rule segment:
    """Segment one scan, or say in the log why it cannot be."""
    input:
        # a model that is another one segments all scans again
        model=changing_file(Path(MODEL)),
        scan=lambda wildcards: str(SCANS[wildcards.scan]),
    output:
        touch(f"{OUT}/{JOBS}/{{scan}}.done"),
    log:
        f"{OUT}/{JOBS}/{{scan}}.log",
    conda:
        "../../envs/environment.yaml"
    threads: 1
    # of a cine of 30 frames of 20 x 512 x 512 on a CPU, in batch systems
    resources:
        gpu=gpus_per_job(config["device"], in_conda=IN_CONDA),
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        script=ROOT / "workflow/scripts/segment.py",
        # what no file's time tells: other code, other weights of nnU-Net's
        version=VERSION,
        model=lambda wildcards, input: str(Path(input.model).parent),
        out=lambda wildcards, output: str(Path(output[0]).parents[1]),
    shell:
        "python {params.script:q} --model {params.model:q} --scan {input.scan:q}"
        " --name {wildcards.scan:q} --output {params.out:q} --log {log:q}"


onsuccess:
    print(f"{OUT}/{VIEWER}/{PAGE}")


onerror:
    # the next call tries them again
    for name in failed_names(Path(OUT)):
        Path(f"{OUT}/{JOBS}/{name}.done").unlink(missing_ok=True)
