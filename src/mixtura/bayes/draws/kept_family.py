"""What kind of components draws are of, as text beside them, so that they become mixtures again wherever they go."""

from __future__ import annotations

import json

from ..._value import registry
from ...components import Family
from ...errors import refuse
from ...mixture.description import build, describe

__all__ = ["family_of", "kept_family"]


def kept_family(family: Family) -> str:
    """Returns a family as text; empty where it holds more than plain settings, as one by hand and products do."""
    try:
        settings = {name: describe(value, name, {}) for name, value in family.settings().items()}
        return json.dumps({"kind": family.kind.tag(), "settings": settings})
    except (TypeError, AttributeError):  # a function, or families inside
        return ""


def family_of(text: str) -> Family:
    """Returns the family that a text stands for.

    Raises:
        MixtureError: If it is empty.
    """
    tree = json.loads(text) if text else {}
    if tree.get("kind") not in registry:
        refuse("posterior", "given where components are by hand or of several families", None, "Pass `posterior=`.")
    settings = {name: build(one, {}) for name, one in tree["settings"].items()}
    kind = registry[tree["kind"]]
    return kind.template(**settings)  # pyright: ignore[reportAttributeAccessIssue] (a class of components)
