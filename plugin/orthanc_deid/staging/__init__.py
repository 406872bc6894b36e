"""The staging archive's pipeline on the same engine, by REST alone: select, pull, de-identify, hook, push, mark."""
