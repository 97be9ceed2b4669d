"""CardioUQ's workflow for who starts it from here; it stands in workflow/Snakefile."""

# `include:` would keep the rules and leave out which of them is the default.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
