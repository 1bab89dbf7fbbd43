/* How a connection to a server's SQL port is protected. */
#pragma once

typedef enum SqlTls {
        SQL_TLS_OFF,
        SQL_TLS_REQUIRED, /* encrypted or not at all; the certificate's chain is checked when there is a CA file */
        SQL_TLS_VERIFY,   /* and the certificate must be the server's: chain and name */
        _SQL_TLS_MAX,
        _SQL_TLS_INVALID = -22,
} SqlTls;

const char *sql_tls_to_string(SqlTls tls); /* "off", "required", "verify" */
SqlTls sql_tls_from_string(const char *name);
