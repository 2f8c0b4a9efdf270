"""Networks on the Hugging Face hub, where each is kept as a bundle."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from emotrack.models.bundle_files import FILES, BundleError, bundle_folder, read_bundle, save_bundle
from emotrack.models.hub import HubError, download
from emotrack.models.weights import Bundled


class Pretrained(Bundled):
    """A network with ``from_pretrained``, ``save_pretrained`` and ``push_to_hub``.

    ``huggingface_hub`` is imported when the hub is asked, not before: a program that loads a folder needs no client.
    """

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path = "mini",
        *,
        revision: str | None = None,
        device: str = "cpu",
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Load a network, ready for inference.

        Args:
            pretrained_model_name_or_path: a packaged bundle's name, a folder, or a hub id (``owner/name``).
            revision: branch, tag or commit; for a hub id only.
            device: where the weights go, as torch names it.
            force_download: even if a copy is kept here.
            token: for bundles that are not public; by default the one that ``hf auth login`` keeps.
            cache_dir: where copies are kept; by default where ``huggingface_hub`` keeps them.
            local_files_only: take the copy that is kept here, and never ask the hub.

        Raises:
            BundleError: no such bundle, not to be had, altered, or its contents do not fit together.
        """
        name = str(pretrained_model_name_or_path)
        try:
            folder = bundle_folder(name)
        except BundleError:
            if "/" not in name:
                raise
            try:
                folder = download(
                    name,
                    FILES,
                    revision,
                    force_download=force_download,
                    token=token,
                    cache_dir=cache_dir,
                    local_files_only=local_files_only,
                )
            except HubError as error:
                raise BundleError(f"bundle {error}") from error
        else:
            if revision is not None:
                raise BundleError(f"bundle {name}: a folder has no revision {revision!r}")
        return read_bundle(cls, folder, device)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write the network as a bundle; the folder is made when missing."""
        save_bundle(self, Path(save_directory), self.metrics, self.card)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "A network of emotrack",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Put the network on the hub as a bundle, in one commit.

        Args:
            repo_id: hub id, ``owner/name``; made when missing.
            commit_message: what the commit says.
            private: whether a repository that is made is; by default as its owner has it.
            token: by default the one that ``hf auth login`` keeps.
            branch: where to, by default ``main``.
            create_pr: propose the commit instead.

        Returns:
            The commit's address.

        Raises:
            huggingface_hub.errors.HfHubHTTPError: the hub does not take it.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        repository = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return str(
                api.upload_folder(
                    repo_id=repository,
                    folder_path=folder,
                    commit_message=commit_message,
                    revision=branch,
                    create_pr=create_pr,
                )
            )
