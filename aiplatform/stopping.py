"""How long a process takes to stop, from the first SIGTERM: the one place that says so.

Who kills comes later than all of it, since what is killed in mid-call is charged at its upper bound: the supervisor,
compose (`stop_grace_period`), and the chart (`terminationGracePeriodSeconds`, which counts the pods' `preStop` too).
"""

GRACE_S = 20  # calls under way may end by themselves; what is left then is cut off
# Cutting off and settling (`gateway.bookkeeping`), the writer's last batch (`usage.writer`), then what is no money: a
# second for Redis, three for the collectors of traces. Nearly all of it passes only where the database hangs.
CLOSING_S = 10
KILLED_AFTER_S = GRACE_S + CLOSING_S
