"""Legacy checkpoints whose data lie at odd addresses, as in torchvision's vgg16-397923af.pth."""

import pathlib

import torch


def save_at_odd_addresses(state_dict: dict[str, torch.Tensor], path: pathlib.Path) -> None:
    """Data follows the pickles without padding: a longer, unused name in the state's metadata moves it."""
    metadata = dict(state_dict._metadata)
    for length in range(1, 9):
        state_dict._metadata = {**metadata, "": {**metadata[""], "x" * length: 0}}
        torch.save(state_dict, path, _use_new_zipfile_serialization=False)
        if path.stat().st_size % 4 == 1:  # the file ends with float32 data
            break
    else:
        raise AssertionError("no name moves the data to an odd address")
    state_dict._metadata = metadata
