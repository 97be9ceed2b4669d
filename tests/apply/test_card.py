"""The card of a model says what it can be used for."""

import pandas as pd

from cardiouq.apply.card import model_card


def test_card_says_how_many_subjects_each_interval_needs() -> None:
    said = {"label": "U-Net", "structures": ["LV"], "study": "S", "name": "m", "licence": "none"}
    rows = {"dataset": ["a"], "vendor": ["V"], "subject": ["s"], "case": ["c"], "structure": ["LV"]}
    scores = pd.DataFrame(rows | {"dice": [0.9], "assd_mm": [1.0], "estimated_dice": [0.8]})
    card = model_card(said, pd.DataFrame(rows), scores, None, "in full")
    assert "at least 4 for 80 %, 9 for 90 %, 19 for 95 %." in card
