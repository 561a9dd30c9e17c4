"""What makes one product of the parts: settings, processes, pages. Whatever process it is, this is imported first."""

import gc

gc.set_threshold(50_000)  # of Python's 700: a fifth of each start, and of each call, went into finding no garbage
