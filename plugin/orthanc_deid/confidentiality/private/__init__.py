"""Private attributes: which are safe, and vendors' headers made anew."""
