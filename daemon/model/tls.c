/* Names of the TLS modes. Owns nothing. */
#include "tls.h"

#include <stddef.h>

#include "enum.h"

static const char *const tls_names[_SQL_TLS_MAX] = {
        [SQL_TLS_OFF] = "off",
        [SQL_TLS_REQUIRED] = "required",
        [SQL_TLS_VERIFY] = "verify",
};
ENUM_STRINGS(sql_tls, SqlTls, tls_names)
