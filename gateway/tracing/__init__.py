"""Traces of calls, in OpenTelemetry's conventions for generative AI: made of usage rows, never on a call's own time.

collectors -> exporter (a queue and a thread each) -> spans -> one POST. Nothing here is imported unless traces are on.
"""
