"""The request path: from a caller's bytes to a provider and back, with the books kept."""
