"""Writes legacy checkpoints whose data is at addresses with a given remainder; that of torchvision's vgg16-397923af.pth is at odd ones."""

import pathlib

import torch


def save_legacy(state_dict: dict[str, torch.Tensor], path: pathlib.Path, remainder: int) -> None:
    """Saves float32 values at addresses that leave this remainder when divided by four.

    The data follows the pickles without padding, so a longer, unused name in the state's metadata moves it.
    """
    metadata = state_dict._metadata
    for length in range(1, 9):
        state_dict._metadata = {**metadata, "": {**metadata[""], "x" * length: 0}}
        torch.save(state_dict, path, _use_new_zipfile_serialization=False)
        if path.stat().st_size % 4 == remainder:  # the file ends with float32 data
            break
    else:
        raise AssertionError(f"no name moves the data to a remainder of {remainder}")
    state_dict._metadata = metadata


def save_at_odd_addresses(state_dict: dict[str, torch.Tensor], path: pathlib.Path) -> None:
    save_legacy(state_dict, path, 1)
