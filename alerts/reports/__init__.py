"""Reports of cost and usage: when they are due, what they say, and how they look."""
