"""What is remembered: every job, its attempts and its result, in one database with one writer."""
