"""What people see, in a real browser: one for all of these tests."""
