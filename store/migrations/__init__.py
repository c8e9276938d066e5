"""The database revisions, applied in order by the daemon (Alembic)."""
