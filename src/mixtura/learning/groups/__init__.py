"""Many small fits in one call: one mixture for each group of rows."""
