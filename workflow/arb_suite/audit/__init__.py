"""The audit of printed numbers: what each follows from, what it cannot be, and how it compares with others."""
