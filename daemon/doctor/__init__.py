"""Looking for what is wrong with a host, a spool or a daemon; nothing is changed."""
