"""Trusted code only: inputs, expected outputs, comparison and the clock that decides."""
