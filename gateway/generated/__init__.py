"""Made by `make proto`; never edited."""
