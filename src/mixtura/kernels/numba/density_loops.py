"""Log densities and log joints of Gaussians compiled for a CPU: fused loops over tiles of rows."""

from .joints import diagonal_joint, full_joint, gather, kernel, part, softmax, whiten
from .vector import store

__all__ = [
    "diagonal_density",
    "full_density",
    "tied_density",
]


@part
def record(joint, begin, stop, b, size, count, density, joints):
    """Write log joints of a tile, or log densities; where both are wanted, responsibilities in the place of joints."""
    for p in range(size.panels):
        at, row = p * size.components * size.width, begin + p * size.width
        rows = max(0, min(size.width, stop - row))
        if density.size:
            top = softmax(joint, at, size.components, size.width)
        for k in range(count if joints.size else 0):
            for lane in range(rows):
                joints[row + lane, b, k] = joint[at + k * size.width + lane]
        if density.size:
            store(joint, at, top)
            for lane in range(rows):
                density[row + lane, b] = joint[at + lane]


@kernel
def full_density(x, begin, stop, centre, factor, offset, logits, size, count, tiles, density, joints):
    """Log densities (N, B) or log joints (N, B, K), whichever is not empty, for a triangle a component.

    Where neither is, log densities and responsibilities.
    """
    columns, _, joint, _, _, _, _ = tiles
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            full_joint(columns, factor, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)


@kernel
def diagonal_density(x, begin, stop, centre, factor, offset, logits, size, count, tiles, density, joints):
    """The same for a factor a feature."""
    columns, _, joint, _, _, _, _ = tiles
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            diagonal_joint(columns, factor, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)


@kernel
def tied_density(x, begin, stop, centre, triangles, zeros, ones, offset, logits, size, count, tiles, density, joints):
    """The same for a triangle a restart."""
    columns, z, joint, _, _, _, _ = tiles
    for row in range(begin, stop, size.panels * size.width):
        gather(x, row, stop, centre, size, columns)
        for b in range(size.restarts):
            whiten(columns, triangles, zeros, b, size, z)
            diagonal_joint(z, ones, offset, logits, b, size, joint)
            record(joint, row, stop, b, size, count, density, joints)
