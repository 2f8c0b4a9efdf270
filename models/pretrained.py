"""Networks on the Hugging Face hub, where each is kept as a bundle."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from emotrack.models.bundle_files import FILES, BundleError, bundle_folder, read_bundle, save_bundle
from emotrack.models.hub import HubError, download
from emotrack.models.weights import Bundled


class Pretrained(Bundled):
    """A network with ``from_pretrained``, ``save_pretrained`` and ``push_to_hub``."""

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
        """Save the network as a bundle in a folder, which is made unless it is there."""
        save_bundle(self, Path(save_directory), self.metrics, self.card)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "A bundle of emotrack",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool | None = None,
    ) -> str:
        """Save the network as a bundle on the hub.

        Args:
            repo_id: ``owner/name``; made unless it is there.
            commit_message: what the commit is called.
            private: whether a repository that is made is private; by default as its owner has it.
            token: by default the one that ``hf auth login`` keeps.
            branch: where the commit goes; by default to the main one.
            create_pr: whether it becomes a pull request.

        Returns:
            The commit's address.

        Raises:
            HfHubHTTPError: of ``huggingface_hub``, where the hub refuses.
        """
        from huggingface_hub import HfApi  # which brings an HTTP client, of no use for tracking

        api = HfApi(token=token)
        name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return api.upload_folder(
                repo_id=name,
                folder_path=folder,
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
            )
