"""Where settings come from: flags, environment, file; how they are read, checked and shown."""
