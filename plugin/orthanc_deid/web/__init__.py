"""HTTP to other systems: `session` over `connection`, `auth`, what an `answer` means, `template`, `pointer`."""
