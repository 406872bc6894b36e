"""Encapsulated documents: PDF and CDA made anew."""
