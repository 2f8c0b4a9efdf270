"""The numbers and names that a configuration may hold, each with its bounds.

They are checked when a configuration is made, whether of a bundle, of a recipe or by a program: a number that cannot be
meant is refused before memory is taken for it. A truth value or a text is no number.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from emotrack.models.bounds import MAX_CONTEXT


def _shown(name: str) -> str:
    if not name.isprintable():
        raise ValueError("holds what cannot be shown")
    return name


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_shown)]  # of a network, or a label
Width = Annotated[int, Field(strict=True, ge=1, le=65_536)]  # of a layer, in numbers
Layers = Annotated[int, Field(strict=True, ge=1, le=100)]
Heads = Annotated[int, Field(strict=True, ge=1, le=1_024)]
Vocabulary = Annotated[int, Field(strict=True, ge=1, le=2_000_000)]
Tokens = Annotated[int, Field(strict=True, ge=1, le=8_192)]  # that an encoder reads at a time
EarlierTurns = Annotated[int, Field(strict=True, ge=0, le=100)]  # that it reads with a turn
Context = Annotated[int, Field(strict=True, ge=1, le=MAX_CONTEXT)]  # turns
Share = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
Dropout = Annotated[float, Field(strict=True, ge=0.0, lt=1.0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(strict=True, ge=0.01, le=100.0, allow_inf_nan=False)]
Networks = Annotated[int, Field(strict=True, ge=0, le=100)]  # side by side
Flag = Annotated[bool, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Weight = Annotated[float, Field(strict=True, ge=0.0, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0.0, le=1e6, allow_inf_nan=False)]


def fault(error: ValidationError) -> str:
    """The fault of a configuration, in one line that names the field."""
    errors = error.errors(include_input=False, include_url=False)
    # Of several kinds of encoders, the one with the fewest faults was meant.
    faults = Counter(each["loc"][:2] for each in errors)
    first = min(errors, key=lambda each: faults[each["loc"][:2]])
    return f"{'.'.join(str(part)[:50] for part in first['loc'])}: {first['msg']}"
