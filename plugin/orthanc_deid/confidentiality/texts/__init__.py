"""Texts and dates: decoded, cleaned, encoded."""
