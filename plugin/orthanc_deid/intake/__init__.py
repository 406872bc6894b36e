"""Ways in: everything that makes a study known."""
