"""Templates of pages, with the style and the script that they share, as files beside this one."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

SHARED = Path(__file__).parent


def render(template: Path, **values: Any) -> str:
    """Fill a template in; values are text and are escaped, but for `markupsafe.Markup`.

    Args:
        template: a file; it may include those beside it and the shared ones.

    Raises:
        jinja2.UndefinedError: it names a value that is not given.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, SHARED]),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template.name).render(**values)
