"""``python -m mixtura.cli``: the same as ``mixtura``."""

from . import main

main()
