"""What a run survives: each module breaks something on purpose, many times, and counts what is left whole.

`make faults` runs all of them and prints the table of the topic reliability; the suite runs a short form.
"""
