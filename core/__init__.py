"""Tools with no knowledge of the product: money, ids, secrets, outbound HTTP."""
