"""The pages on which people see what is wrong, and say who must know of what."""

from alerts.admin import channel, delivery, incident, report, rule

__all__ = ["channel", "delivery", "incident", "report", "rule"]
