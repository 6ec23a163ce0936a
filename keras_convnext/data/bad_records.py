"""Records of annotations that cannot be used: refused, or left out and listed."""


class BadRecords:
    """Collects what is wrong with the records of a data set.

    Args:
        skip: whether bad records are left out. If not, `finish` refuses them.
    """

    def __init__(self, skip: bool):
        self.skip = skip
        self.found: list[str] = []

    def add(self, problem: object) -> None:
        """Notes a bad record.

        Args:
            problem: the file, which of its records, what was expected and what was found: a sentence without a stop,
                or an error with such a message.
        """
        self.found.append(str(problem))

    def finish(self) -> tuple[str, ...]:
        """Returns the sentences about all bad records.

        Raises:
            ValueError: there are bad records, and they are not to be skipped. It names the first and counts the others.
        """
        if self.found and not self.skip:
            more = f", and {len(self.found) - 1} more" if len(self.found) > 1 else ""
            raise ValueError(f"{self.found[0]}{more}. Fix or remove them, or leave them out with `skip_bad=True`.")
        return tuple(self.found)
