"""Collects the suite's findings, applies expected failures, and writes, prints and compares reports."""
