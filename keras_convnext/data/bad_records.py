"""Records of annotations that cannot be used: refused, or left out and listed."""

from collections.abc import Sequence

NAMED = 3
"""How many bad records an error names."""

PRINTED = 10
"""How many bad records are printed."""


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
            ValueError: there are bad records, and they are not to be skipped. It names the first ones and counts the
                others.
        """
        if self.found and not self.skip:
            more = f"; and {len(self.found) - NAMED} more" if len(self.found) > NAMED else ""
            raise ValueError(
                f"{'; '.join(self.found[:NAMED])}{more}. Fix or remove them, or leave them out with `skip_bad=True`."
            )
        return tuple(self.found)


def describe_bad_records(records: Sequence[str], source: object) -> str:
    """Returns lines that say which records of a data set were left out.

    Args:
        records: a sentence about each, as `BadRecords.finish` returns them.
        source: the name or path of the data set.
    """
    count = f"{len(records)} record{'s' if len(records) > 1 else ''}"
    more = [f"  and {len(records) - PRINTED} more"] if len(records) > PRINTED else []
    return "\n".join([f"{source}: {count} left out:", *(f"  {record}" for record in records[:PRINTED]), *more])
