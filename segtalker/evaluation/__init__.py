"""Scoring of dubbed videos, by any method, under a written protocol; tables, plots and comparisons of it."""
