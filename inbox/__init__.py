"""What comes in: manifests, contracts and the files of the spool."""
