"""What makes one product of the parts: settings, processes, pages. Every process imports it, for its settings."""

import gc

gc.set_threshold(50_000)  # instead of 700: a tenth of a web process's imports went into finding no garbage
