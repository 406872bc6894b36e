"""The states of a study and the moves between them, as one table that can be proofread against the design."""

RECEIVED, WAITING, QUEUED = "received", "waiting", "queued"
DEIDENTIFYING, VERIFYING, REVIEW = "deidentifying", "verifying", "review"
CONVERTING, EXPORTING, DONE = "converting", "exporting", "done"
QUARANTINED, FAILED, REJECTED = "quarantined", "failed", "rejected"
CANCELLED, IGNORED = "cancelled", "ignored"

BEFORE_WORK = frozenset({RECEIVED, WAITING, IGNORED})  # it may begin by itself, or be waited for
ACTIVE = frozenset({QUEUED, DEIDENTIFYING, VERIFYING, CONVERTING, EXPORTING})

_AT_WORK = frozenset({QUARANTINED, FAILED, CANCELLED, QUEUED})
MOVES: dict[str, frozenset[str]] = {
    RECEIVED: frozenset({WAITING, QUEUED, IGNORED, CANCELLED}),
    WAITING: frozenset({QUEUED, IGNORED, CANCELLED}),
    QUEUED: frozenset({DEIDENTIFYING, REVIEW, CONVERTING, EXPORTING, DONE}) | _AT_WORK,
    DEIDENTIFYING: frozenset({DEIDENTIFYING, VERIFYING, IGNORED}) | _AT_WORK,
    VERIFYING: frozenset({REVIEW, CONVERTING, EXPORTING, DONE, DEIDENTIFYING}) | _AT_WORK,
    REVIEW: frozenset({WAITING, QUEUED, REJECTED, CANCELLED}),
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

# Of a row of a batch, and of each study that it names.
ROW_QUEUED, ROW_WORKING = "queued", "working"
ROW_DELIVERED, ROW_PARTIAL, ROW_NOT_FOUND, ROW_FOUND = "delivered", "partial", "not-found", "found"
ROW_DUPLICATE, ROW_REFUSED, ROW_FAILED = "duplicate", "refused", "failed"
ROW_SKIPPED, ROW_CANCELLED = "skipped", "cancelled"
ROW_OPEN = frozenset({ROW_QUEUED, ROW_WORKING})
# What a person may ask for once more.
ROW_UNDONE = frozenset({ROW_PARTIAL, ROW_NOT_FOUND, ROW_REFUSED, ROW_FAILED, ROW_SKIPPED, ROW_CANCELLED, ROW_FOUND})
# Of a batch.
BATCH_RUNNING, BATCH_PAUSED, BATCH_CANCELLED, BATCH_DONE = "running", "paused", "cancelled", "done"
