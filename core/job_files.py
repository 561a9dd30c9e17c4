"""Where there is no Redis: jobs as files in a folder, by Celery's own broker of that kind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """A job has its name only once it is whole: a worker that reads a half ends, with all that it has in hand."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]  # as the class above
        file = Path(self.data_folder_out, f"{time.monotonic_ns() // 1_000_000}_{uuid4()}.{queue}.msg")
        draft = file.with_suffix(".new")
        try:
            draft.write_text(dumps(payload))
            draft.replace(file)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ChannelError(f"A job cannot be put into {file.parent}: {error.strerror}.") from error


class Transport(filesystem.Transport):
    Channel = Channel
