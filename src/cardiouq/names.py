"""Names that people read: of a study, a method, a data set, a subject, a column.

Such names are free text, escaped for each form that they are printed in. Names that stand in paths
(methods, recipes, test sets, cases) have narrower rules of their own.
"""

import unicodedata

MOST_CHARACTERS = 200
JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Characters that are not seen either, but emoji and some scripts need them."""
EXPECTED = f"1 to {MOST_CHARACTERS} visible characters on one line, without a space at either end"


def is_name(text: str) -> bool:
    """Tell whether a text may be a name: one line, all of it seen, nothing that turns it round."""
    return (
        0 < len(text) <= MOST_CHARACTERS
        and text == text.strip()
        and all(character in JOINERS or _is_seen(character) for character in text)
    )


def _is_seen(character: str) -> bool:
    """Neither control, format, surrogate, private or unassigned, nor a separator of lines."""
    category = unicodedata.category(character)
    return not category.startswith("C") and category not in ("Zl", "Zp")
