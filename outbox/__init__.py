"""What goes out: the result of a job, its publication, and older views of it."""
