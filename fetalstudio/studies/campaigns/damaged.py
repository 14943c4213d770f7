"""What the campaigns on damaged inputs share.

A damaged input is used without what is damaged, or refused with a message that names it. Using it
must raise nothing but :class:`UserError`, and takes little time and memory.
"""

from __future__ import annotations

import logging
import random
import shutil
import traceback
from abc import ABC, abstractmethod
from pathlib import Path

from fetalstudio.core.errors import UserError
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.child import in_child


class DamagedInputs(ABC):
    """Damages a fresh copy of a whole input in each trial, and uses it in a child."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._whole = folder / "whole"
        self.make(self._whole)

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Make the whole input in ``folder``, which is not there yet."""

    def copy(self, folder: Path) -> None:
        """Make the copy that is damaged."""
        shutil.copytree(self._whole, folder)

    @abstractmethod
    def damage(self, folder: Path, chance: random.Random) -> str:
        """Damage a copy; returns what was done."""

    @abstractmethod
    def use(self, folder: Path) -> Outcome:
        """Use a damaged copy, in the child. May raise :class:`UserError`."""

    def trial(self, seed: int) -> Outcome:
        folder = self._folder / "damaged"
        self.copy(folder)
        what = self.damage(folder, random.Random(seed))
        ended = in_child(_use, self, folder)
        outcome = ended.result or Outcome("failed")
        found = [f"{fault}, after {what}" for fault in (*outcome.faults, *ended.faults())]
        shutil.rmtree(folder)
        return Outcome(outcome.text, tuple(found))


def _use(campaign: DamagedInputs, folder: Path) -> Outcome:
    # Each damaged row is logged, which is not what this counts.
    logging.getLogger("fetalstudio").setLevel(logging.CRITICAL)
    try:
        return campaign.use(folder)
    except UserError as error:
        if str(folder) not in str(error):
            return Outcome("refused", (f"no file is named: {error}",))
        return Outcome("refused with a message")
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome("failed", (f"{type(error).__name__} at {where}: {str(error)[:200]}",))
