"""http: pseudonyms that a service on the network gives.

`source` asks by a `client`; what is asked and what the answer means is a module for each service: `generic` (templates
and JSON pointers), `deid_api`, `dasher` (with its `token_file`), `gpas`, `mainzelliste`. `study_fields` is what may be
said of a study, `answers` what may be believed.
"""
