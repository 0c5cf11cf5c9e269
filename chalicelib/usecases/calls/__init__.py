"""Use cases of calls: place, claim, dial, cancel, and take in callbacks."""
