"""What can go wrong, and what the process answers with.

::

    GenredError              exit code 1   anything genred says in one sentence
    ├── BadInputError        exit code 2   the user has to change something; trying again will not help
    │   ├── ConfigError                    options, station names, TOML
    │   ├── ModelError                     the model file is missing, damaged or without its card
    │   └── SourceError                    a source that can never be opened as it is written
    ├── RequiredSourceError  exit code 3   ``--require``: a station was not running in time
    ├── SourceLost           (retried)     well formed, but absent now: a device, a host
    └── BatchError           (counted)     one batch of windows had no usable answer

A message says what is wrong, with which value, and what to do.
"""

from __future__ import annotations


class GenredError(Exception):
    """Base of everything genred reports in one sentence instead of a traceback."""

    exit_code = 1


class BadInputError(GenredError):
    """The user's input cannot work as it is."""

    exit_code = 2


class ConfigError(BadInputError):
    """An option, a station name or a configuration file is wrong."""


class ModelError(BadInputError):
    """A model file is missing, damaged, or does not say what genred needs to know."""


class SourceError(BadInputError):
    """A source is badly formed: unknown scheme, missing file, nothing to decode."""


class RequiredSourceError(GenredError):
    """A station was not running within the time that ``--require`` gives."""

    exit_code = 3


class SourceLost(GenredError):  # noqa: N818 - an event of life, not a mistake
    """A well-formed source is absent at the moment; the station tries again."""


class BatchError(GenredError):
    """The classifier's answer to one batch is not a set of probabilities."""
