"""Archives that are asked for studies: `base` is what each keeps to."""
