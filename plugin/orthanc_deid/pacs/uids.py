"""What may stand as a UID in a question, a path or a request: one UID, and nothing that names more."""

import re

from ..errors import Rejected

_UID = re.compile(r"[0-9.]{1,64}")


def is_one(uid: str) -> bool:
    """Tell whether a text is one UID (PS3.5 9.1): a list, a wildcard or a path names something else."""
    return bool(_UID.fullmatch(uid))


def demand(*uids: str) -> None:
    """Raise Rejected where one that is given is no UID."""
    if not all(is_one(uid) for uid in uids if uid):
        raise Rejected("a UID of this study is not one UID of digits and dots: it is not asked for")
