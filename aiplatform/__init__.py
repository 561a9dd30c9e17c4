"""What makes one product of the parts: settings, processes, pages. Every process imports it, for its settings."""

import gc

gc.set_threshold(1_000_000)  # until `apps`: a quarter of a web process's imports went into finding no garbage
