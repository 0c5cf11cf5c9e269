"""The table as it stands in the end, read as plain values and not by the code that is judged."""

from typing import Any

from chalicelib.storage.codec import from_item
from ops.simulate.evidence import Evidence


def read_table(table: Any, evidence: Evidence) -> None:
    """Fill in the calls, attempts, decisions and numbers of the evidence; ``table`` is moto's."""
    for item in table.all_items():
        _sort_in(item.hash_key.value, item.range_key.value, from_item(item.to_json()["Attributes"]), evidence)
    for rows in (*evidence.attempts.values(), *evidence.decisions.values()):
        rows.sort(key=lambda row: row["sk"])


def _sort_in(pk: str, sk: str, item: dict[str, Any], evidence: Evidence) -> None:
    kind, _, rest = pk.partition("#")
    if kind == "CALL":
        row = item["data"] | {"sk": sk}
        if sk == "CALL":
            evidence.calls[rest] = row
        elif sk.startswith("ATTEMPT#"):
            evidence.attempts.setdefault(rest, []).append(row)
        elif sk.startswith("DECISION#"):
            evidence.decisions.setdefault(rest, []).append(row)
    elif kind == "NUMBER" and sk == "NUMBER":
        evidence.numbers[rest.partition("#")[2]] = item["data"]
