"""Where learning starts."""
