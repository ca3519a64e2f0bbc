"""A checksum of all that a model file holds, so that no damage goes unseen.

It is SHA-256 over the header without it and over the name, type, shape and bytes of each tensor, in the order of names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["checksum"]


def checksum(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Returns the checksum of a header, its own entry left out, and of tensors, in hexadecimal digits."""
    told = {name: value for name, value in header.items() if name != "checksum"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().clone(memory_format=torch.contiguous_format)  # of one number, too
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
