"""PS3.15 Annex E as pure functions on datasets: no file, socket, clock or environment."""
