"""Use cases of phone numbers: opt-outs, contacts, erasure and quiet times."""
