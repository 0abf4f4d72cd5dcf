"""Fault injection: each module causes a fault many times and counts the runs that survive.

`make faults` runs all of them and prints the table of the topic reliability; the suite runs a short form.
"""
