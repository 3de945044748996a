"""What a statement may name: kinds of syntax nodes, functions, table functions, engines, tables, settings.

Lists that permit, so that what a newer engine adds is refused until somebody has looked at it; but for functions, where
the engine's own list is taken less those that reach beyond the store (a test pins the list that was reviewed).
"""

import re

READ_TOPS = frozenset(
    {
        "SelectWithUnionQuery", "Explain", "DescribeQuery", "ShowTables", "ShowColumns", "ShowIndexes",
        "ShowCreateTableQuery", "ShowCreateViewQuery", "ShowCreateDatabaseQuery", "ExistsTableQuery", "ExistsViewQuery",
        "ExistsDatabaseQuery",
    }
)  # fmt: skip
READ_NODES = READ_TOPS | frozenset(
    {
        "SelectQuery", "SelectIntersectExceptQuery", "ExpressionList", "Subquery", "WithElement",
        "TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression", "TableJoin", "TableIdentifier",
        "ArrayJoin", "SampleRatio", "Function", "Identifier", "Literal", "Asterisk", "QualifiedAsterisk",
        "ColumnsRegexpMatcher", "ColumnsListMatcher", "QualifiedColumnsRegexpMatcher", "QualifiedColumnsListMatcher",
        "ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsReplaceTransformer",
        "ColumnsReplaceTransformer::Replacement", "OrderByElement", "InterpolateElement", "WindowDefinition",
        "WindowListElement",
    }
)  # fmt: skip
"""ColumnsApplyTransformer is left out: the tree does not show the function it applies."""
WRITE_TOPS = frozenset(
    {
        "CreateQuery", "AlterQuery", "DropQuery", "TruncateQuery", "Rename", "OptimizeQuery", "DeleteQuery",
        "UpdateQuery", "InsertQuery", "KillQueryQuery", "CheckQuery",
    }
)  # fmt: skip
WRITE_NODES = READ_NODES | WRITE_TOPS | frozenset(
    {
        "Set", "Columns", "Storage", "ColumnDeclaration", "DataType", "EnumDataType", "TupleDataType", "NameTypePair",
        "Index", "Constraint", "Projection", "ProjectionSelectQuery", "TTLElement", "ViewTargets", "AlterCommand",
        "Assignment", "Partition", "Refresh", "TimeInterval", "StorageOrderByElement", "SQLSecurity", "ASTSQLSecurity",
    }
)  # fmt: skip
ALTER_COMMANDS = frozenset(
    {
        "ADD_COLUMN", "DROP_COLUMN", "MODIFY_COLUMN", "RENAME_COLUMN", "COMMENT_COLUMN", "CLEAR_COLUMN",
        "MATERIALIZE_COLUMN", "ADD_INDEX", "DROP_INDEX", "MATERIALIZE_INDEX", "CLEAR_INDEX", "ADD_CONSTRAINT",
        "DROP_CONSTRAINT", "ADD_PROJECTION", "DROP_PROJECTION", "MATERIALIZE_PROJECTION", "MODIFY_ORDER_BY",
        "MODIFY_TTL", "REMOVE_TTL", "MATERIALIZE_TTL", "MODIFY_SETTING", "RESET_SETTING", "MODIFY_QUERY",
        "MODIFY_COMMENT", "UPDATE", "DELETE", "DROP_PARTITION", "REPLACE_PARTITION", "DROP_DETACHED_PARTITION",
    }
)  # fmt: skip
"""Left out: FREEZE, FETCH, MOVE TO DISK, EXPORT, ATTACH from a folder: they touch files of their own choosing."""
ENGINES = frozenset(
    {"Atomic", "Replicated", "Null", "Memory", "View", "MaterializedView"}
    | {
        prefix + kind + "MergeTree"
        for prefix in ("", "Replicated")
        for kind in ("", "Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing", "CoalescingMerge")
    }
)
DDL_FUNCTIONS = frozenset(
    {
        "codec", "zstd", "lz4", "lz4hc", "delta", "doubledelta", "gorilla", "fpc", "t64", "gcd", "none", "default",
        "minmax", "set", "bloom_filter", "ngrambf_v1", "tokenbf_v1", "text",
    }
)  # fmt: skip
"""Codecs and index types, which the tree shows as functions."""
TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series", "values", "view", "null",
     "sqlstandardvalues"}
)  # fmt: skip
SYNTAX_FUNCTIONS = frozenset({"lambda", "exists", "grouping", "untuple", "columns"})
"""Functions of the grammar, which are in no list of functions."""
REFUSED_FUNCTIONS = re.compile(
    r"file|filesystem.*|dict.*|region.*|joinget.*|ai[A-Z].*|ai(classify|embed|extract|filter|generate|redact|similarity|"
    r"translate)|chdb|python.*|getserver.*|getmacro|getclienthttpheader|currentrequesturl|showcertificate|addressto.*|"
    r"demangle|logtrace|sleep.*|generateserialid|naivebayes.*|evalmlmethod|hascolumnintable|catboost.*|reversedns.*|"
    r"zookeeper.*|transaction.*|fuzzquery|timeseriesstoretags|getmergetreesetting|tcpport|__.*",
    re.IGNORECASE,
)
"""Functions that read files or dictionaries, speak to a network or a model, sleep, or tell of the host."""

READER_DATABASES = frozenset({"tollway", "information_schema"})
READER_SYSTEM_TABLES = frozenset(
    {
        "one", "numbers", "numbers_mt", "zeros", "zeros_mt", "tables", "columns", "databases", "functions", "settings",
        "formats", "data_type_families", "table_functions", "table_engines", "database_engines", "parts",
        "parts_columns", "merges", "mutations", "metrics", "events", "asynchronous_metrics", "time_zones",
        "build_options", "keywords", "aggregate_function_combinators", "dictionaries", "projections",
        "data_skipping_indices", "collations", "contributors", "licenses", "view_refreshes", "codecs",
    }
)  # fmt: skip
READER_SETTINGS = re.compile(
    r"output_format_(?!schema$)\w+|date_time_\w+_format|session_timezone|max_threads|max_block_size|max_execution_time|"
    r"max_result_rows|max_result_bytes|result_overflow_mode|max_rows_to_read|max_bytes_to_read|read_overflow_mode|"
    r"join_use_nulls|limit|offset|extremes|log_comment|use_query_cache|use_uncompressed_cache|prefer_column_name_to_alias|"
    r"cast_string_to_dynamic_use_inference|format_csv_delimiter|low_cardinality_allow_in_native_format|readonly|"
    r"cancel_http_\w+|http_\w+"
)
REFUSED_SETTINGS = re.compile(
    r"output_format_schema|format_template_\w+|format_avro_schema_registry_url|dialect|\w*_url|\w*_proxy|"
    r"allow_introspection_functions|implicit_select|input_format_values_\w+|user_files_path"
)
"""Settings that make a harmless statement read, write or call something; refused to everybody."""
