"""Encoders from the Hugging Face hub: finding them, loading them, and building them again from a bundle.

A folder or a hub id (``owner/name``, or ``owner/name@revision`` to pin one) is needed once, when a network is first put
together. From then on the encoder is described by its configuration, which a bundle carries, and its weights are the
bundle's: nothing is downloaded to load one. Weights are read from safetensors and never unpickled, and no code comes
from a hub.

``transformers`` is imported when an encoder of its is built, and not before.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from emotrack.errors import EmotrackError
from emotrack.models.extras import missing_extra

DESCRIPTION = ("*.json", "*.txt", "*.model")  # configuration and vocabulary
FILES = (*DESCRIPTION, "*.safetensors")  # and weights
VOCABULARY = ("tokenizer.json", "vocab.*", "*.model")
# These name an encoder's place and purpose, and are no part of the encoder itself.
LOCAL = ("_name_or_path", "transformers_version", "auto_map", "architectures", "dtype", "id2label", "label2id")


MAX_LAYERS = 100  # of an encoder
MAX_WHOLE = 10_000_000  # of any other whole number in a configuration: no vocabulary is larger
MAX_NUMBER = 1e9  # of any other number
MAX_LIST = 1_000
MELS = (80, 128)  # of all Whispers


class HubError(EmotrackError, ValueError):
    """An encoder that cannot be had; the message says which, why and what to do, in one line."""


def find(name: str) -> Path:
    """Where an encoder's files lie, downloaded if need be.

    Args:
        name: a folder, or a hub id such as ``FacebookAI/roberta-large`` or ``microsoft/wavlm-base@refs/pr/1``.

    Raises:
        HubError: neither a folder nor to be had from the hub, or without weights in safetensors; or what runs them is
            not installed, which is said before anything is downloaded.
    """
    _transformers()
    folder = Path(name).expanduser()
    if not folder.is_dir():
        repository, _, revision = name.partition("@")
        folder = download(repository, FILES, revision or None)
    if not (folder / "config.json").is_file():
        raise HubError(f"{name}: has no config.json")
    if not any(folder.glob("*.safetensors")):
        hint = "`emotrack train convert` makes some of a pytorch_model.bin; or name a revision with some, ID@REVISION"
        raise HubError(f"{name}: has no weights in safetensors ({hint})")
    return folder


def download(name: str, files: Sequence[str], revision: str | None = None, **options: Any) -> Path:
    """Where files of the hub lie once they are here.

    Args:
        name: hub id, ``owner/name``.
        files: which, as patterns.
        revision: branch, tag or commit.
        options: of ``huggingface_hub.snapshot_download``, such as ``cache_dir``.

    Raises:
        HubError: not to be had.
    """
    import huggingface_hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    which = f"{name}@{revision}" if revision else name
    if Path(name).is_absolute() or name.startswith(("./", "../", "~")):
        raise HubError(f"{name}: no such folder")
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=list(files), **options))
    except HFValidationError as error:
        raise HubError(f"{which}: neither a folder nor a hub id") from error
    except GatedRepoError as error:
        raise HubError(f"{which}: its owners ask you to accept their terms on the hub first") from error
    except RevisionNotFoundError as error:
        raise HubError(f"{which}: no such revision") from error
    except RepositoryNotFoundError as error:
        raise HubError(f"{which}: neither a folder nor a public model on the hub") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{which}: the hub cannot be reached and no copy is kept here; give a folder instead") from error
    except (HfHubHTTPError, OSError) as error:
        raise HubError(f"{which}: cannot be downloaded: {_one_line(error)}") from error


def origin(name: str, folder: Path) -> str:
    """A bundle's note of an encoder's origin: hub id and commit, or the folder's own name."""
    return folder.name if Path(name).expanduser().is_dir() else f"{name.partition('@')[0]}@{folder.name}"


def read_config(name: str, folder: Path) -> dict[str, Any]:
    """An encoder's configuration as a bundle carries it. Raises ``HubError`` where it is none."""
    transformers = _transformers()
    from huggingface_hub.errors import StrictDataclassError

    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, TypeError, StrictDataclassError) as error:
        raise HubError(f"{name}: config.json cannot be used: {_one_line(error)}") from error
    fields = {key: value for key, value in config.to_dict().items() if key not in LOCAL}
    document: dict[str, Any] = json.loads(json.dumps(fields))
    for key in ("layerdrop", "encoder_layerdrop", "mask_time_prob", "mask_feature_prob"):
        if key in document:
            document[key] = 0.0  # pre-training's own noise
    check_sizes(document, name)
    return document


def check_sizes(document: dict[str, Any], name: str = "model") -> None:
    """Refuse an encoder's configuration whose numbers cannot be meant.

    Raises:
        HubError: naming the field.
    """
    for key, value in document.items():
        where = f"{name}.{key}"
        if isinstance(value, list) and len(value) > MAX_LIST:
            raise HubError(f"{where}: a list of {len(value)}, and at most {MAX_LIST} are meant")
        for each in value if isinstance(value, list) else [value]:
            most = MAX_LAYERS if "layer" in str(key) else MAX_WHOLE if isinstance(each, int) else MAX_NUMBER
            if isinstance(each, int | float) and not abs(each) <= most:
                raise HubError(f"{where}: {each:.10g} is out of its bounds, {most:g} at most")
            if isinstance(each, dict):
                check_sizes(each, where)


def build(document: dict[str, Any]) -> Any:
    """The encoder that a configuration describes, with random weights. Raises ``HubError`` where it describes none."""
    transformers = _transformers()
    config = _config(document)
    with _quiet():
        if config.model_type == "whisper":
            from transformers.models.whisper.modeling_whisper import WhisperEncoder

            return WhisperEncoder(config)
        return _without_pooler(transformers.AutoModel.from_config(config, trust_remote_code=False))


def load(name: str, folder: Path, document: dict[str, Any]) -> Any:
    """The encoder that lies in a folder, with its weights.

    Raises:
        HubError: unreadable weights, or some that the encoder needs are missing.
    """
    transformers = _transformers()
    from safetensors import SafetensorError

    with _quiet():
        try:
            model, report = transformers.AutoModel.from_pretrained(
                folder,
                config=_config(document),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise HubError(f"{name}: the weights cannot be used: {_one_line(error)}") from error
    if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
        raise HubError(f"{name}: {len(missing)} weights are missing, {missing[0]} among them")
    return model.encoder if model.config.model_type == "whisper" else _without_pooler(model)


def save(model: Any, name: str, folder: Path) -> None:
    """Write an encoder to a folder that can be named in the place of a hub id.

    Args:
        model: as ``load`` gave it, and trained since.
        name: folder or hub id that it came from; its vocabulary is taken over.
        folder: where to; it exists.

    Raises:
        HubError: its vocabulary is no longer there.
    """
    with _quiet():
        model.save_pretrained(folder)
    origin = find(name)
    for file in (file for pattern in DESCRIPTION for file in origin.glob(pattern)):
        if not file.name.endswith(".index.json") and not (folder / file.name).exists():
            shutil.copyfile(file, folder / file.name)


def load_tokenizer(name: str, max_tokens: int = 128) -> Tokenizer:
    """The vocabulary of a text encoder, cutting texts at ``max_tokens``. Raises ``HubError`` where there is none."""
    transformers = _transformers()
    folder = find(name)
    if not any(file for pattern in VOCABULARY for file in folder.glob(pattern)):  # transformers would make one up
        raise HubError(f"{name}: has no vocabulary")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        backend: Tokenizer = tokenizer.backend_tokenizer
    except (OSError, ValueError, AttributeError, ImportError) as error:
        raise HubError(f"{name}: its vocabulary cannot be used: {_one_line(error)}") from error
    backend.no_padding()
    backend.enable_truncation(max_tokens)
    return backend


def reads_normalised(name: str, folder: Path) -> bool:
    """Whether a speech encoder was trained on waveforms of zero mean and unit variance, as its folder says.

    Where it says nothing, it was, as transformers takes for granted too.
    """
    try:
        document = json.loads((folder / "preprocessor_config.json").read_text())
        return bool(document.get("do_normalize", True))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, AttributeError) as error:
        raise HubError(f"{name}: preprocessor_config.json cannot be used: {_one_line(error)}") from error


def fills_gaps(family: object) -> bool:
    """Whether models of a type were trained to fill gaps, so that every token sees the whole text."""
    _transformers()
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    return str(MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(str(family), "")).endswith(("ForMaskedLM", "WithLMHeadModel"))


def is_decoder(document: dict[str, Any]) -> bool:
    """Whether a configuration is of a model that continues a text: a token sees itself and those before it alone."""
    _transformers()
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    family = str(document.get("model_type"))
    continues = str(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(family, "")).endswith(("ForCausalLM", "LMHeadModel"))
    return continues and not document.get("is_encoder_decoder") and not fills_gaps(family)


def whisper_filters(mels: int) -> Tensor:
    """The mel filters that Whisper was trained with: (mels, 201). Raises ``HubError`` where there are none."""
    if mels not in MELS:
        raise HubError(f"a Whisper reads {' or '.join(map(str, MELS))} mels, not {mels}")
    filters = _transformers().WhisperFeatureExtractor(feature_size=mels).mel_filters
    return torch.from_numpy(filters.T.astype("float32"))  # (M, F)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise HubError(missing_extra(error) or f"transformers cannot be imported: {_one_line(error)}") from error
    return transformers


def _config(document: dict[str, Any]) -> Any:
    from huggingface_hub.errors import StrictDataclassError

    fields = {key: value for key, value in document.items() if key not in LOCAL}
    family = fields.pop("model_type", None)
    try:
        return _transformers().AutoConfig.for_model(family, **fields, dtype="float32")
    except (ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise HubError(f"an encoder of type {family!r} cannot be built: {_one_line(error)}") from error


def _without_pooler(model: Any) -> Any:
    """The pooling layers that a model adds on top would be dead weight: the encoders here pool by themselves."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and reports of expected differences; errors are raised."""
    logging = _transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
