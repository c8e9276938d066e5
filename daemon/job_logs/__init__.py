"""What jobs print while they run: bounded files that can be followed."""
