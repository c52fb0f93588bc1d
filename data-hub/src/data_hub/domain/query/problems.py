"""Why a query is refused or stopped, each with a stable code."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, RateLimited, TimedOut, Unavailable


class QueryRefused(InvalidInput):
    """The text is not a query that may run."""

    code, title = "query_refused", "Query refused"


class QuerySyntax(QueryRefused):
    """The text is not SQL."""

    code, title = "query_syntax", "SQL syntax error"


class QueryTooLarge(QueryRefused):
    """The text is longer or deeper than is read."""

    code, title = "query_too_large", "Query too large"


class NotOneStatement(QueryRefused):
    """There is no statement, or more than one."""

    code, title = "query_not_single", "Exactly one statement is needed"


class NotSelect(QueryRefused):
    """The statement does something other than read."""

    code, title = "query_not_select", "Only SELECT is allowed"


class RecursionRefused(QueryRefused):
    """The query refers to itself."""

    code, title = "query_recursive", "Recursion is not allowed"


class FunctionRefused(QueryRefused):
    """A function is not one of those that queries may use."""

    code, title = "query_function_refused", "Function not allowed"


class TableUnknown(QueryRefused):
    """A table is not the name of a data set."""

    code, title = "query_table_unknown", "Unknown table"


class VersionUnknown(QueryRefused):
    """A data set has no such version (any more); `versions` are the newest that it has."""

    code, title = "query_version_unknown", "Unknown version"


class ParametersWrong(QueryRefused):
    """The parameters do not fit the placeholders."""

    code, title = "query_parameters", "Parameters do not fit"


class FilterRefused(InvalidInput):
    """A row filter is not a condition over the data set's columns."""

    code, title = "filter_refused", "Filter refused"


class QueryFailed(InvalidInput):
    """The engine could not compute the answer; the detail says why."""

    code, title = "query_failed", "Query failed"


class MemoryLimit(QueryFailed):
    """The query needed more memory or temporary disk than it may use."""

    code, title = "query_memory_limit", "Memory limit reached"


class RowsLimit(QueryFailed):
    """The result has more rows than an export may have."""

    code, title = "query_rows_limit", "Row limit reached"


class SizeLimit(QueryFailed):
    """The result has more bytes than an export may have."""

    code, title = "query_size_limit", "Size limit reached"


class TimeLimit(TimedOut):
    """The query ran longer than it may."""

    code, title = "query_time_limit", "Time limit reached"


class QueryCancelled(Conflict):
    """The query was cancelled by its owner, or its caller went away."""

    code, title = "query_cancelled", "Query cancelled"


class QueryIdInUse(Conflict):
    """The caller has already used this id for another query."""

    code, title = "query_id_in_use", "Query id in use"


class QueryUnknown(NotFound):
    """The caller has no such query, or its result is no longer kept."""

    code, title = "query_unknown", "Unknown query"


class TooManyQueries(RateLimited):
    """The organisation already runs as many queries as it may at once."""

    code, title = "query_concurrency", "Too many queries at once"


class EngineBusy(Unavailable):
    """All places of the query engine are taken."""

    code, title = "query_engine_busy", "Query engine busy"


class EngineUnavailable(Unavailable):
    """The query engine did not start or ended unexpectedly."""

    code, title = "query_engine_unavailable", "Query engine unavailable"
