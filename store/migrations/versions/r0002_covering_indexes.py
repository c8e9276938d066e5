"""Each index from which a search starts also answers what else is mostly asked.

Among many failed jobs those of one owner were found by reading each job's row, from all over the file.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, columns in (
        ("jobs_by_state", ["state", "sequence", "owner"]),
        ("jobs_by_status", ["status", "sequence", "owner"]),
        ("jobs_by_owner", ["owner", "sequence", "state", "status"]),
    ):
        op.drop_index(name, "jobs")
        op.create_index(name, "jobs", columns)
