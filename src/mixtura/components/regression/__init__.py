"""Regressions as families of components: each says what one column is, given others."""
