"""What lives in a process that builds one kernel, without a device, and then dies."""
