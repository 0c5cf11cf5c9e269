"""The table at the end of a run, read as plain values without the code under test."""

import json
from typing import Any

from chalicelib.storage.codec import from_item
from ops.simulate.evidence import Evidence, SlotLeft
from ops.simulate.strict_aws import MAX_ITEM_BYTES
from ops.simulate.table_watch import plain_token


def read_table(table: Any, evidence: Evidence) -> None:
    """Fill the evidence with the contents of moto's table."""
    erased = {answered.act.number for answered in evidence.answered_acts if answered.act.kind == "erase"}
    for item in table.all_items():
        pk, sk, attributes = item.hash_key.value, item.range_key.value, item.to_json()["Attributes"]
        _sort_in(pk, sk, from_item(attributes), evidence)
        if len(json.dumps(attributes, default=str)) > MAX_ITEM_BYTES:
            evidence.aws_refused.append(f"{pk} {sk} is larger than an item may be")
        for number in erased:
            if number.removeprefix("+") in json.dumps([pk, sk, attributes], default=str):
                evidence.digits_left.setdefault(number, []).append(f"{pk} {sk}")
    for rows in (*evidence.attempts.values(), *evidence.decisions.values()):
        rows.sort(key=lambda row: row["sk"])


def _sort_in(pk: str, sk: str, item: dict[str, Any], evidence: Evidence) -> None:
    kind, _, rest = pk.partition("#")
    if kind == "CALL":
        row = item["data"] | {"sk": sk}
        if sk == "CALL":
            evidence.calls[rest] = row
        elif sk.startswith("ATTEMPT#"):
            evidence.attempts.setdefault(rest, []).append(row | {"token": plain_token(row)})
        elif sk.startswith("DECISION#"):
            evidence.decisions.setdefault(rest, []).append(row)
    elif kind == "NUMBER" and sk == "NUMBER":
        evidence.numbers[rest.partition("#")[2]] = item["data"]
    elif kind == "SLOTS" and sk.isdecimal():
        evidence.slots_left.append(SlotLeft(f"{rest}|{sk}", item["holder"], int(item["lease_until"])))
