"""Functions of one number, and draws of one."""
