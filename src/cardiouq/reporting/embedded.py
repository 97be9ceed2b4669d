"""Pictures that stand in a page itself, as data URIs."""

import base64
import io
from typing import Any

from PIL import Image


def data_uri(picture: Image.Image, form: str, **options: Any) -> str:
    """A picture as a data URI; options are those of Pillow's `save` in that form."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return f"data:image/{form};base64,{base64.b64encode(stream.getvalue()).decode()}"
