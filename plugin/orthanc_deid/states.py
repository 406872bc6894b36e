"""The states of a study and the moves between them, as one table that can be proofread against the design."""

RECEIVED, WAITING, QUEUED = "received", "waiting", "queued"
DEIDENTIFYING, VERIFYING, REVIEW = "deidentifying", "verifying", "review"
CONVERTING, EXPORTING, DONE = "converting", "exporting", "done"
QUARANTINED, FAILED, REJECTED = "quarantined", "failed", "rejected"
CANCELLED, IGNORED = "cancelled", "ignored"

ACTIVE = frozenset({QUEUED, DEIDENTIFYING, VERIFYING, CONVERTING, EXPORTING})

_AT_WORK = frozenset({QUARANTINED, FAILED, CANCELLED, QUEUED})
MOVES: dict[str, frozenset[str]] = {
    RECEIVED: frozenset({WAITING, QUEUED, IGNORED, CANCELLED}),
    WAITING: frozenset({QUEUED, IGNORED, CANCELLED}),
    QUEUED: frozenset({DEIDENTIFYING, CONVERTING, EXPORTING, DONE}) | _AT_WORK,
    DEIDENTIFYING: frozenset({DEIDENTIFYING, VERIFYING, IGNORED}) | _AT_WORK,
    VERIFYING: frozenset({REVIEW, CONVERTING, EXPORTING, DONE, DEIDENTIFYING}) | _AT_WORK,
    REVIEW: frozenset({CONVERTING, EXPORTING, REJECTED, CANCELLED, QUEUED}),
    CONVERTING: frozenset({CONVERTING, EXPORTING, DONE}) | _AT_WORK,
    EXPORTING: frozenset({EXPORTING, DONE}) | _AT_WORK,
    DONE: frozenset({QUEUED, WAITING}),
    QUARANTINED: frozenset({QUEUED, CANCELLED, REJECTED}),
    FAILED: frozenset({QUEUED, EXPORTING, CANCELLED}),
    REJECTED: frozenset({QUEUED}),
    CANCELLED: frozenset({QUEUED}),
    IGNORED: frozenset({QUEUED, WAITING, IGNORED}),
}
STATES = tuple(MOVES)

# Of an instance.
INSTANCE_RECEIVED, INSTANCE_DEIDENTIFIED, INSTANCE_QUARANTINED = "received", "deidentified", "quarantined"
# Of a delivery to one destination.
PENDING, SENT, CONFIRMED, UNDELIVERED = "pending", "sent", "confirmed", "failed"
