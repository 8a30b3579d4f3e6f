"""infra/athena-views.yaml: the views of infra/finance_views, as the Glue tables that Athena's CREATE VIEW makes.

Athena keeps a view as JSON in Base64 (https://docs.aws.amazon.com/athena/latest/ug/views.html); CloudFormation encodes
it, so that the template stays readable. The types of the columns are those that DuckDB finds.
"""

import json
from contextlib import closing

import duckdb

from infra.exports.rows import ENTRIES, ENTRY_COLUMNS, POSTING_COLUMNS, POSTINGS
from infra.ledger_views import AS_OF, VIEWS, view_sql

_HEAD = """\
# Generated from infra/finance_views by `python -m docs.generate`; edit the files there.
# The views of finance in Athena, beside the tables of template.yaml. Deploy it once that stack is complete, and again
# after an update that changes a view.
AWSTemplateFormatVersion: "2010-09-09"
Description: For one Solvent stack, the views of finance over the exported ledger.

Parameters:
  LedgerDatabase:
    Type: String
    AllowedPattern: "[a-z][_a-z0-9]*"
    Description: The output LedgerDatabase of the stack that was made from template.yaml.

Resources:
"""
_VIEW = """\
  {logical}:
    Type: AWS::Glue::Table
    Properties:
      CatalogId: !Ref AWS::AccountId
      DatabaseName: !Ref LedgerDatabase
      TableInput:
        Name: {name}
        TableType: VIRTUAL_VIEW
        Parameters: {{ presto_view: "true", comment: Presto View }}
        PartitionKeys: []
        StorageDescriptor:
          SerdeInfo: {{}}
          Columns:
{columns}
        ViewExpandedText: /* Presto View */
        ViewOriginalText: !Sub
          - "/* Presto View: ${{View}} */"
          - View:
              Fn::Base64: !Sub >-
{view}
"""
_INDENT = " " * 16
_HIVE = {"varchar": "string"}


def athena_views_text() -> str:
    """The whole template."""
    with closing(_empty_ledger()) as connection:
        parts = [_resource(name, _columns(connection, name)) for name in (AS_OF, *VIEWS)]
    return _HEAD + "\n".join(parts)


def _empty_ledger() -> duckdb.DuckDBPyConnection:
    """The views over tables without rows."""
    connection = duckdb.connect()
    for table, columns in ((POSTINGS, POSTING_COLUMNS), (ENTRIES, ENTRY_COLUMNS)):
        typed = ", ".join(f"{name} {kind}" for name, kind in {**columns, "month": "VARCHAR"}.items())
        connection.execute(f"CREATE TABLE {table} ({typed})")
    for name in (AS_OF, *VIEWS):
        connection.execute(f"CREATE VIEW {name} AS {view_sql(name)}")
    return connection


def _columns(connection: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    """The columns of a view with Athena's names of their types."""
    return {name: kind.lower() for name, kind, *_ in connection.execute(f"DESCRIBE {view}").fetchall()}


def _resource(name: str, columns: dict[str, str]) -> str:
    listed = (f"{' ' * 12}- {{ Name: {column}, Type: {_quoted(_HIVE.get(it, it))} }}" for column, it in columns.items())
    return _VIEW.format(
        logical=name.title().replace("_", ""), name=name, columns="\n".join(listed), view=_view(name, columns)
    )


def _quoted(kind: str) -> str:
    return f'"{kind}"' if "(" in kind else kind


def _view(name: str, columns: dict[str, str]) -> str:
    """The view as JSON over several lines, which YAML folds into one.

    Each column is cast to the type that is declared, since Athena calls a view with others stale.
    """
    casts = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, kind in columns.items())
    lines = [line.strip() for line in view_sql(name).splitlines() if not line.startswith("--")]
    sql = [f"SELECT {casts}", "FROM (", *lines, ")"]
    declared = json.dumps([{"name": column, "type": kind} for column, kind in columns.items()])
    escaped = [json.dumps(line)[1:-1] for line in sql]
    told = f'"catalog": "awsdatacatalog", "schema": "${{LedgerDatabase}}", "columns": {declared}'
    return "\n".join(_INDENT + line for line in ('{"originalSql": "', *escaped, f'", {told}' + "}"))
