"""The kind `http`: `destination` sends to any HTTP interface by templates.

What goes into one request: `pieces`. Its body: `template`. On its way: `sending`, by the sessions
of `web`, and what the `answer` means. `openapi` compares the templates with the far side's own description.
"""
