"""What goes wrong in a lab."""


class LabError(Exception):
    """The lab could not do what was asked of it."""


class Unavailable(LabError):
    """A server flavour cannot be had on this machine."""


class CommandFailed(LabError):
    """A command ended with an error."""
