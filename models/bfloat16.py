"""Whether a processor has bfloat16, floats of half the width; one that has not imitates them, four times as slowly."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16."""
    able = torch.cpu.get_capabilities()
    return any(able.get(feature, False) for feature in ("amx_bf16", "avx512_bf16", "bf16"))


def has_quick_bfloat16() -> bool:
    """Whether oneDNN, which multiplies the encoders' matrices, lets it."""
    has_one_dnn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return has_bfloat16() and has_one_dnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
