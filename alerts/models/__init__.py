"""What is watched, what was found, who is told, and what was sent to them."""

from alerts.models.channels import Attempt, Channel, Delivery
from alerts.models.reports import ReportSchedule
from alerts.models.watching import Certificate, Incident, Rule

__all__ = ["Attempt", "Certificate", "Channel", "Delivery", "Incident", "ReportSchedule", "Rule"]
