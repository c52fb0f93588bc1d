"""`python -m brain_kit.objects`: make the bucket that BRAIN_OBJECTS_URL names, where it does not exist yet."""

import os
import sys

from brain_kit.objects.opening import create_bucket
from brain_kit.problems import Problem

_WAIT_S = 30


def main() -> int:
    """Exit status 0 when the bucket exists or none is needed, else 1 with the reason."""
    try:
        made = create_bucket(os.environ.get("BRAIN_OBJECTS_URL", ""), wait_s=_WAIT_S)
    except (Problem, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("bucket created\n" if made else "nothing to create\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
