"""genred: hears music and tells its genre.

::

    source --> ring --> epoch (resample, gain, features, windows) --+
    source --> ring --> epoch --------------------------------------+--> classifier --> publisher --> subscribers
    ...        one station each                                     |    one batch      XPUB
                                                                    +--> snapshot --> dashboard, systemd
"""

__version__ = "0.1.0"
