"""Families made of families: products over columns, and two families on the same rows."""
