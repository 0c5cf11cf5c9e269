"""The local stack, its mock carrier, and the demo. Nothing leaves 127.0.0.1."""
