"""The isolation ladder: what stands between a kernel's process and everything else on the host.

::

    probe ──which layers work here?──► Isolation ──Sandbox──► nursery ──► init ──► runner
                                          └─IsolationReport─► every result

Each layer stands alone (layers.py); what a host refuses is left out with its reason. The daemon decides
(probe.py, isolation.py), the child obeys (init.py, confinement.py) and looks around (denials.py).
"""
