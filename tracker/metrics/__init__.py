"""Figures of a running tracker for Prometheus, and whether it is healthy; for whoever operates it."""
