"""The first revision: jobs, their manifests, results, attempts and labels, and tallies of them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_jobs()
    for name in ("manifests", "results"):
        op.create_table(name, _job_key(), sa.Column("text", sa.Text(), nullable=False))
    op.create_table(
        "attempts",
        _job_key(),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("device", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double()),
        sa.Column("outcome", sa.Text()),
    )
    op.create_table(
        "labels",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("value", sa.Text(), primary_key=True),
        _job_key(),
        sqlite_with_rowid=False,
    )
    op.create_index("labels_by_job", "labels", ["job"])
    op.create_table(
        "tallies",
        sa.Column("state", sa.String(16), primary_key=True),
        sa.Column("status", sa.String(32), primary_key=True),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.CheckConstraint("jobs >= 0", name="tallies_are_counts"),
    )


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.String(128), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status", sa.String(32)),
        sa.Column("stage", sa.String(32)),
        sa.Column("blame", sa.String(32)),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64)),
        sa.Column("claimed_path", sa.Text()),
        sa.Column("device", sa.String(255)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("speedup", sa.Double()),
        sa.Column("error_message", sa.Text()),
        sa.CheckConstraint(
            "(state IN ('cancelled', 'completed', 'failed', 'rejected')) = (finished_at IS NOT NULL)",
            name="final_jobs_are_finished",
        ),
        sa.CheckConstraint(
            "published = false OR finished_at IS NOT NULL", name="published_jobs_are_finished"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_index("jobs_by_status", "jobs", ["status"])
    op.create_index("jobs_by_owner", "jobs", ["owner"])
    _create_partial_index(
        "jobs_queue", ["owner", sa.text("priority DESC"), "sequence"], "state = 'submitted'"
    )
    _create_partial_index("jobs_owed", ["sequence"], "published = false AND finished_at IS NOT NULL")


def _create_partial_index(name: str, columns: list[str | sa.TextClause], condition: str) -> None:
    op.create_index(
        name, "jobs", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition)
    )


def _job_key() -> sa.Column[int]:
    return sa.Column(
        "job",
        sa.Integer(),
        sa.ForeignKey("jobs.sequence", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
