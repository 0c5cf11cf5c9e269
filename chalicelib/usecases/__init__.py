"""The use cases: what Redial does for a request, a callback, a wake or a sweep."""
