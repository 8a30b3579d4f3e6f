"""Cells that a spreadsheet must not run."""

# A spreadsheet runs a cell that begins so (https://owasp.org/www-community/attacks/CSV_Injection). A text that does
# gets an apostrophe in front; one that begins with an apostrophe does too, so that it can be taken off again.
RUNS_IN_SPREADSHEETS = frozenset("=+-@\t\r\n'")


def guarded(cell: object) -> object:
    """A text that a spreadsheet would run gets an apostrophe in front; numbers and amounts stay as they are."""
    if not isinstance(cell, str) or cell[:1] not in RUNS_IN_SPREADSHEETS:
        return cell
    is_amount = cell.removeprefix("-").replace(".", "", 1).isdecimal()
    return cell if is_amount else f"'{cell}"
