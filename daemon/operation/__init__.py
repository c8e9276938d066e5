"""The daemon as its host's operators see it: service manager, signs of life, settings read again, metrics."""
