"""What lives beside a user's kernel, in a process that is used once."""
