"""Alembic's entry point: runs the wanted revisions on the connection that `kbd.store.engine` hands over."""

from alembic import context

from kbd.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite can roll back DDL once the driver keeps its hands off BEGIN, as our engine makes it.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
