"""Loops over numbers, written in Python and compiled for this machine by LLVM, within tenths of a second."""
