"""Where calls can go: providers, and how to speak to them."""
