"""How much of anything a caller may send at once (docs/vectors.md)."""

MAX_COLLECTIONS = 100  # of one client
MAX_VECTOR_SIZE = 16_384
MAX_POINTS = 500  # of one call
MAX_PAYLOAD_BYTES = 64 * 1024  # of one point, as JSON
MAX_ID_CHARS = 256
MAX_RESULTS = 250
MAX_CONDITIONS = 64  # of one filter
MAX_FILTER_DEPTH = 5
MAX_CHOICES = 256  # of one condition `in`
MAX_COMPONENT = 3.4e38  # Qdrant keeps 32-bit floats
