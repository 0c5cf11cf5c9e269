"""The bytes that a call keeps in the table, by kind of item."""

from collections import Counter

from ops.benchmarks.handlers import Handlers, running
from ops.benchmarks.metering import Item, index_entries, size_bytes, stored_items

#: The bytes are counted after these attempts. The policy allows no more than the last of them.
AFTER_ATTEMPTS = (1, 4, 10)
#: The concurrency limit of the account: all numbers of slots have one digit, because an attempt's item has the number.
SLOTS = 9
#: DynamoDB's storage has so many more bytes for each item and for each entry of an index.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithTables.Basics.html
OVERHEAD_BYTES = 100
ENTRIES, OVERHEAD, TOTAL = "index entries", "overhead", "together"


def bytes_of_a_call() -> dict[int, dict[str, int]]:
    """Return the bytes of a call whose line is busy at every attempt.

    The key is the number of attempts. The value has the bytes of each kind of item, with the names of
    chalicelib/storage/items.py. Items that several calls share are left out: wakes, slots, rate limits.
    """
    found = {}
    with running(SLOTS) as handlers:
        call_id = handlers.place(max_retries=max(AFTER_ATTEMPTS) - 1)
        for attempt in range(1, max(AFTER_ATTEMPTS) + 1):
            if attempt > 1:
                _redial(handlers, call_id)
            sid = list(handlers.twilio.addresses)[-1]
            for number, status in enumerate(handlers.busy_statuses):
                handlers.callback(sid, status, number)
            if attempt in AFTER_ATTEMPTS:
                found[attempt] = _bytes_now()
    return found


def _redial(handlers: Handlers, call_id: str) -> None:
    """Redial a call at its time. Raises RuntimeError if it is not dialled."""
    due_at = handlers.load(call_id).call.due_at
    if due_at is None:
        raise RuntimeError(f"{call_id} has ended, so it has no next attempt")
    handlers.clock.at = due_at
    if handlers.wake()["dialed"] != 1:
        raise RuntimeError(f"{call_id} was not dialled when it was due")


def _bytes_now() -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for item in stored_items():
        if (kind := _kind(item)) is None:
            continue
        entries = index_entries(item)
        sizes[kind] += size_bytes(item)
        sizes[ENTRIES] += sum(map(size_bytes, entries))
        sizes[OVERHEAD] += OVERHEAD_BYTES * (1 + len(entries))
    order = (*sorted(sizes.keys() - {ENTRIES, OVERHEAD}), ENTRIES, OVERHEAD)
    return {kind: sizes[kind] for kind in order} | {TOTAL: sizes.total()}


def _kind(item: Item) -> str | None:
    """Return the kind of an item of a call, or None for any other item."""
    pk, sk = (str(item[name]["S"]).partition("#")[0] for name in ("pk", "sk"))
    match pk:
        case "CALL":
            return sk
        case "NUMBER":
            return pk if sk == "NUMBER" else "CALL of the NUMBER"
        case "PLACED":
            return pk
    return None
