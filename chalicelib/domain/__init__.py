"""The decisions about calls, as pure functions: no network, clock or environment."""
