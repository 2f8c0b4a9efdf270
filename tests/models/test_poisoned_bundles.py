"""Bundles that somebody got wrong, or means ill with: one line each, before memory is taken.

Each is loaded in a process that may take little more memory, and little time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from emotrack.models.bundle import MAX_BYTES, BundleError, load_bundle

MEGABYTES = 500  # more than the process has; a tiny network takes a few
SECONDS = 20  # of the processor

Poison = Callable[[Path], Any]


def loaded_in_a_small_process(bundle: Path) -> str:
    """What loading it says, as a user would read it: nothing where it loads."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        here = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (here + (MEGABYTES << 20),) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        try:
            load_bundle(bundle)
            said = ""
        except BundleError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001 - it is what the test is about
            said = f"TRACEBACK {type(error).__name__}: {error}"
        os.write(sending, said.encode(errors="replace")[:60_000])
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"ended by signal {status & 127}"
    return said


def config(bundle: Path, *where: str, value: Any) -> None:
    """Set one field of config.json."""
    document = json.loads((bundle / "config.json").read_text())
    inside = document
    for name in where[:-1]:
        inside = inside[name]
    inside[where[-1]] = value
    (bundle / "config.json").write_text(json.dumps(document))


def resealed(bundle: Path, name: str, contents: bytes) -> None:
    """Another file, with its SHA-256, as whoever means ill would write it."""
    (bundle / name).write_bytes(contents)
    config(bundle, "sha256", name, value=hashlib.sha256(contents).hexdigest())


def weights(bundle: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    kept = load_file(bundle / "model.safetensors")
    changed = {name: tensor.clone() for name, tensor in kept.items()}
    change(changed)
    resealed(bundle, "model.safetensors", save(changed))


def first(tensors: dict[str, Tensor], make: Callable[[Tensor], Tensor]) -> None:
    name = "text_head.classify.weight"
    tensors[name] = make(tensors[name])


def tokenizer(bundle: Path, **changes: Any) -> None:
    document = json.loads((bundle / "tokenizer.json").read_text()) | changes
    resealed(bundle, "tokenizer.json", json.dumps(document).encode())


def vocabulary(bundle: Path, change: Callable[[dict[str, int]], Any]) -> None:
    document = json.loads((bundle / "tokenizer.json").read_text())
    change(document["model"]["vocab"])
    resealed(bundle, "tokenizer.json", json.dumps(document).encode())


def template(bundle: Path) -> None:
    document = json.loads((bundle / "tokenizer.json").read_text())
    document["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [10**6]
    resealed(bundle, "tokenizer.json", json.dumps(document).encode())


def sparse(bundle: Path, name: str, size: int, start: bytes = b"") -> None:
    """A file of that size which takes no room on the disk."""
    with (bundle / name).open("wb") as file:
        file.write(start)
        file.truncate(size)


def header(length: int, contents: bytes = b"{}") -> bytes:
    return length.to_bytes(8, "little") + contents


def huge_weights(bundle: Path) -> None:
    """A sparse file whose header is in order, and claims 6 GB for one matrix."""
    shape = [3_000_000, 1_000]
    entry = {"text_encoder.tokens.weight": {"dtype": "F16", "shape": shape, "data_offsets": [0, 2 * 3 * 10**9]}}
    contents = json.dumps(entry).encode()
    sparse(bundle, "model.safetensors", 8 + len(contents) + 6 * 10**9, header(len(contents), contents))


def many_weights(bundle: Path) -> None:
    entry = b'"a%d":{"dtype":"F16","shape":[0],"data_offsets":[0,0]},'
    contents = b"{" + b"".join(entry % i for i in range(400_000))[:-1] + b"}"
    resealed(bundle, "model.safetensors", header(len(contents), contents))


def replaced_by(bundle: Path, name: str, make: Callable[[Path], Any]) -> None:
    (bundle / name).unlink()
    make(bundle / name)


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def hub_encoder(bundle: Path, **changes: Any) -> None:
    """A configuration that names an encoder of the hub."""
    model = {
        "model_type": "bert",
        "vocab_size": 14,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config(bundle, "text", value={"model": model | changes, "origin": "somewhere", "max_tokens": 16})


NUMBERS = {
    "0": 0,
    "-5": -5,
    "1e30": 1e30,
    "10**30": 10**30,
    "1e7": 10_000_000,
    "true": True,
    "text": "16",
    "null": None,
}
SIZES = [
    ("context",),
    *(("text", name) for name in ("vocabulary", "width", "layers", "heads", "feed_forward", "max_tokens")),
    *(("speech", name) for name in ("width", "common", "branch", "heads", "feed_forward")),
    *(("speech_head", name) for name in ("hidden", "embedding")),
    *(("conversation", name) for name in ("hidden", "layers", "heads", "head_width", "blocks")),
]
SHARES = [
    ("uncertain_below",),
    ("conversation", "input_dropout"),
    *(("calibration", n) for n in ("text", "speech", "both")),
]
ODD_SHARES = {"nan": float("nan"), "inf": float("inf"), "-1": -1, "1e30": 1e30, "true": True, "text": "0.5"}


def fields() -> dict[str, tuple[Poison, str]]:
    """Every number of a configuration, and what none of them can be."""
    found: dict[str, tuple[Poison, str]] = {}
    for places, values in ((SIZES, NUMBERS), (SHARES, ODD_SHARES)):
        for where in places:
            says = r"config\.json, " + r".*\.".join(where) + ": Input should be "
            for shown, value in values.items():
                found[f"{'.'.join(where)} {shown}"] = (
                    lambda bundle, where=where, value=value: config(bundle, *where, value=value),  # type: ignore[misc]
                    says,
                )
    return found


POISONED: dict[str, tuple[Poison, str]] = {
    **fields(),
    # config.json
    "earlier turns": (lambda b: config(b, "text", "turns_before", value=10**6), "turns_before: Input should be"),
    "stage 0": (lambda b: config(b, "stage", value=0), "config.json, stage: Input should be"),
    "stage true": (lambda b: config(b, "stage", value=True), "config.json, stage: Input should be"),
    "no labels": (lambda b: config(b, "labels", value=[]), "config.json, labels: "),
    "a label twice": (lambda b: config(b, "labels", value=["joy"] * 7), "a label occurs twice"),
    "an empty label": (lambda b: config(b, "labels", value=["", *"abcdef"]), r"config.json, labels\.0: "),
    "a huge label": (lambda b: config(b, "labels", value=["a" * 10**5, *"abcdef"]), r"config.json, labels\.0: "),
    "many labels": (lambda b: config(b, "labels", value=[f"{i}" for i in range(10**5)]), "config.json, labels: "),
    "a label that moves the cursor": (lambda b: config(b, "labels", value=["\x1b[2J", *"abcdef"]), "cannot be shown"),
    "half a character": (lambda b: config(b, "labels", value=["\ud800", *"abcdef"]), "config.json, labels"),
    "another number of labels": (lambda b: config(b, "labels", value=["a", "b"]), "do not fit config.json: text_head"),
    "a name that is none": (lambda b: config(b, "name", value=""), "config.json, name: "),
    "a name over two lines": (lambda b: config(b, "name", value="a\nb"), "cannot be shown"),
    "other dimensions": (lambda b: config(b, "text", "feed_forward", value=65_536), "do not fit config.json: text_enc"),
    "all as large as may be": (
        lambda b: (
            [config(b, "speech", name, value=50) for name in ("common", "branch")]
            + [config(b, "speech", name, value=65_536) for name in ("width", "feed_forward")]
        ),
        "do not fit config.json: speech",
    ),
    "nested": (lambda b: (b / "config.json").write_bytes(deep(150_000)), "config.json is not JSON"),
    "nested in lists": (lambda b: (b / "config.json").write_bytes(b"[" * 10**6), "config.json is not JSON"),
    "a nested field": (lambda b: config(b, "labels", value=json.loads("[" * 500 + "]" * 500)), "config.json, labels"),
    "a long number": (lambda b: (b / "config.json").write_text('{"format": ' + "9" * 10**5 + "}"), "config.json"),
    "a huge configuration": (lambda b: sparse(b, "config.json", 10**10), "config.json has 10,000,000,000 bytes"),
    # encoders of the hub
    **{
        f"hub {shown}": (lambda b, model=model: hub_encoder(b, **model), says)  # type: ignore[misc]
        for shown, model, says in (
            ("layers", {"num_hidden_layers": 10**7}, r"model\.num_hidden_layers: 10000000 is out of its bounds, 100"),
            ("vocabulary", {"vocab_size": 10**8}, r"model\.vocab_size: 100000000 is out of its bounds"),
            ("no vocabulary", {"vocab_size": None}, "tokenizer.json has 14 tokens, config.json says 0"),
            ("width", {"hidden_size": 10**6}, "do not fit config.json: text_encoder"),
            ("heads", {"num_attention_heads": 0}, "config.json describes no network"),
            ("places", {"max_position_embeddings": -1}, "config.json describes no network: "),
            ("NaN", {"layer_norm_eps": float("nan")}, r"model\.layer_norm_eps: nan is out"),
            ("a list", {"more": [0] * 10**5}, r"model\.more: a list of 100000"),
            ("in a list", {"more": [{"n": [10**30]}]}, r"model\.more\.n: .* is out of its bounds"),
            ("nested", {"more": json.loads('{"a":' * 900 + "1" + "}" * 900)}, "config.json"),
            ("no family", {"model_type": "nothing"}, "neither fills gaps in text"),
        )
    },
    # model.safetensors
    "huge sparse weights": (
        lambda b: sparse(b, "model.safetensors", 10**12),
        "model.safetensors has 1,000,000,000,000",
    ),
    "sparse weights": (lambda b: sparse(b, "model.safetensors", 6 * 10**9), "model.safetensors cannot be read"),
    "huge weights that fit": (huge_weights, "do not fit config.json"),
    "many weights": (many_weights, "model.safetensors: a header of 23,488,891 bytes"),
    "a header longer than the file": (
        lambda b: resealed(b, "model.safetensors", header(10**6)),
        "model.safetensors cannot be read",
    ),
    "a header of 2**63": (lambda b: resealed(b, "model.safetensors", header(1 << 63)), "a header of 9,223,372"),
    "an empty file": (lambda b: resealed(b, "model.safetensors", b""), "model.safetensors cannot be read"),
    "no tensor": (lambda b: resealed(b, "model.safetensors", save({})), "do not fit config.json: .* is missing"),
    "a nested header": (
        lambda b: resealed(b, "model.safetensors", header(600_000, deep(100_000))),
        "model.safetensors cannot be read",
    ),
    "offsets beyond the end": (
        lambda b: resealed(
            b, "model.safetensors", header(64, b'{"a":{"dtype":"F16","shape":[9],"data_offsets":[0,18]}}'.ljust(64))
        ),
        "model.safetensors cannot be read",
    ),
    "NaN weights": (
        lambda b: weights(b, lambda t: first(t, lambda x: x * torch.nan)),
        "classify.weight: holds numbers",
    ),
    "infinite weights": (
        lambda b: weights(b, lambda t: first(t, lambda x: torch.full_like(x, torch.inf))),
        "text_head.classify.weight: holds numbers that are infinite or none",
    ),
    "weights that overflow": (
        lambda b: weights(b, lambda t: t.update({name: torch.full_like(x.float(), 3e38) for name, x in t.items()})),
        "answers with numbers that are none",
    ),
    "whole numbers": (
        lambda b: weights(b, lambda t: first(t, lambda x: x.long())),
        "text_head.classify.weight: weights are F16, BF16, F32, not I64",
    ),
    "truth values": (lambda b: weights(b, lambda t: first(t, lambda x: x > 0)), "classify.weight: .* not BOOL"),
    "one weight more": (lambda b: weights(b, lambda t: t.update(more=torch.zeros(1))), "nothing is called more"),
    # tokenizer.json
    "padding": (
        lambda b: tokenizer(
            b,
            padding={
                "strategy": {"Fixed": 10**9},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "[PAD]",
            },
        ),
        "tokenizer.json, padding: there is none",
    ),
    "no truncation": (lambda b: tokenizer(b, truncation=None), "tokenizer.json, truncation: texts are cut"),
    **{
        f"truncation {changes}": (
            lambda b, changes=changes: tokenizer(  # type: ignore[misc]
                b,
                truncation={"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"} | changes,
            ),
            "tokenizer.json, truncation: texts are cut",
        )
        for changes in (
            {"max_length": 10**9},
            {"max_length": 0},
            {"stride": 15},
            {"stride": 10**9},
            {"direction": "Left"},
            {"strategy": "OnlySecond"},
        )
    },
    "a token beyond all": (
        lambda b: vocabulary(b, lambda words: words.update(happy=10**9)),
        "tokenizer.json has a token 1000000000 of 14",
    ),
    "a word less": (lambda b: vocabulary(b, lambda words: words.pop("happy")), "tokenizer.json has 13 tokens"),
    "an end that is no token": (template, "the network does not answer"),
    "a huge tokenizer": (lambda b: sparse(b, "tokenizer.json", 10**11), "tokenizer.json has 100,000,000,000 bytes"),
    "a tokenizer of zeros": (lambda b: resealed(b, "tokenizer.json", bytes(10**6)), "tokenizer.json cannot be read"),
    "a nested tokenizer": (lambda b: resealed(b, "tokenizer.json", deep(10**5)), "tokenizer.json cannot be read"),
    # the other files, and what lies in their place
    "nested measurements": (lambda b: (b / "metrics.json").write_bytes(deep(10**5)), "metrics.json is not JSON"),
    "a huge card": (lambda b: sparse(b, "README.md", 10**10), "README.md has 10,000,000,000 bytes"),
    **{
        f"{name}, {what}": (
            lambda b, name=name, make=make: replaced_by(b, name, make),  # type: ignore[misc]
            f"{name} {says}" if says else f"missing {name}",
        )
        for name in MAX_BYTES
        for what, make, says in (
            ("a folder", Path.mkdir, "is no file"),
            ("a pipe", os.mkfifo, "is no file"),
            ("a link to a device", lambda path: path.symlink_to("/dev/zero"), "is no file"),
            ("a link to itself", lambda path: path.symlink_to(path.name), "cannot be read"),
            ("a link to nothing", lambda path: path.symlink_to("nothing"), ""),
        )
    },
}


@pytest.mark.parametrize("name", POISONED)
def test_it_is_refused_in_one_line_and_little_memory(bundle: Path, name: str) -> None:
    poison, message = POISONED[name]
    poison(bundle)
    said = loaded_in_a_small_process(bundle)
    assert re.search(message, said), said
    assert said.startswith((f"bundle {bundle}: ", f"no bundle '{bundle}'"))
    assert "\n" not in said
    assert len(said) < len(str(bundle)) + 400


def test_a_good_one_loads_in_as_little(bundle: Path) -> None:
    assert not loaded_in_a_small_process(bundle)


def test_a_link_to_a_good_file_is_followed(bundle: Path, tmp_path: Path) -> None:
    """As in the hub's own folder."""
    (bundle / "model.safetensors").rename(tmp_path / "blob")
    (bundle / "model.safetensors").symlink_to(tmp_path / "blob")
    assert not loaded_in_a_small_process(bundle)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "/dev/null", "README.md", ""])
def test_a_name_that_no_folder_has_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(BundleError, match=r"no bundle .*give a folder"):
        load_bundle(name or "\n")


def test_what_is_loaded_imports_no_compiler() -> None:
    """Torch's takes two seconds, which some of its operations bring about where tensors have shapes alone."""
    program = "import sys, emotrack.models.bundle as b; b.load_bundle('mini'); print('torch._dynamo' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
