"""Fetch a data set's parquet files from the hub, and say what to do when that fails."""

from __future__ import annotations

from pathlib import Path


def download_parquet(id_: str, *, config: str, revision: str | None) -> tuple[Path, str]:
    """Download ``<config>/*.parquet`` into the hub's cache (at once when it is there already).

    Only parquet is fetched, so no code of the data set can run.

    Returns:
        The folder of the snapshot, and the commit it is.

    Raises:
        ValueError: with the way out for a gate, an unknown id or revision, or no network.
    """
    # takes a second to import, and local files do not need it
    from huggingface_hub import constants, errors, snapshot_download

    try:
        folder = snapshot_download(
            id_, repo_type="dataset", revision=revision, allow_patterns=f"{config}/*.parquet"
        )
    except (errors.RevisionNotFoundError, errors.RevisionResolutionError) as error:
        raise ValueError(
            f"{id_} has no revision {revision!r} on the hub; leave it out for the newest"
        ) from error
    except errors.RepositoryNotFoundError as error:  # a gate is one, too, for who has no token
        raise ValueError(
            f"{id_} cannot be downloaded ({type(error).__name__}): accept its conditions at "
            f"{constants.ENDPOINT}/datasets/{id_}, then run `hf auth login` or set HF_TOKEN; "
            "or download its parquet files there and give their folder"
        ) from error
    except Exception as error:  # the hub's client passes errors of several HTTP libraries on
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(error, errors.LocalEntryNotFoundError):
            reason = "no network, or HF_HUB_OFFLINE is set, and it is not in the hub's cache"
        raise ValueError(
            f"{id_} is no folder here, and as a data set of the hub it cannot be downloaded "
            f"({reason}): check the name and the network; or download its {config}/*.parquet files "
            "elsewhere and give their folder"
        ) from error
    return Path(folder), Path(folder).name
