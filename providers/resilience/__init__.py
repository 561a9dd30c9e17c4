"""How calls survive their providers (docs/resilience.md). Pure: `now` is given, a monotonic time in seconds."""
