"""Whether a job is over, for whoever watches it."""

from kbd.daemon.cli.errors import CommandFailed
from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.found_result import find_result
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.presence import DaemonWatch, Presence


class JobEnd:
    """Asked again and again. Raises CommandFailed where nobody works who could bring the job to its end."""

    def __init__(self, place: Place, job_id: str) -> None:
        self._place = place
        self._job_id = job_id
        self._daemon = DaemonWatch(place)

    def __call__(self) -> bool:
        """Whether it has a result. The daemon is looked at first: what it publishes last is not overlooked."""
        nobody_works = self._daemon.look().presence is Presence.ABSENT
        if find_result(self._place, self._job_id) is not None:
            return True
        if nobody_works:
            raise CommandFailed(
                f"no daemon works on {self._place.spool_root}, so {self._job_id} goes nowhere. Start one: kbd run",
                ExitCode.NO_DAEMON,
            )
        return False
