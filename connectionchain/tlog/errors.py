"""BadProof: the one error of this package. Its message says what was expected and what was found."""

from connectionchain.errors import InvalidInput


class BadProof(InvalidInput):
    """A text, hash or signature that does not prove what it was shown for; `field` names the part."""
