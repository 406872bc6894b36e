"""Tell whether so few tests failed that they are worth another try, alone: exit 0, with their names (decision 0029)."""

import json
import sys
from pathlib import Path

MOST = 3
NOTED = Path(__file__).resolve().parents[1] / ".pytest_cache" / "v" / "cache" / "lastfailed"


def main() -> int:
    """Read what pytest has noted of its last run."""
    failed = list(json.loads(NOTED.read_text(encoding="utf-8"))) if NOTED.exists() else []
    alone = [name for name in failed if "::" in name]  # else a whole file could not be collected
    if not 0 < len(alone) == len(failed) <= MOST:
        return 1
    sys.stdout.write(f"\n{len(failed)} of the tests failed beside others; tried once more, alone:\n")
    sys.stdout.writelines(f"  {name}\n" for name in failed)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
