"""Takes in what lies somewhere else: watch folders, object stores, other Orthancs; in a process of its own."""
