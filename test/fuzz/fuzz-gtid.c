/* Whatever text comes as sets of global transaction ids: two of them, the first up to a NUL, in both families. What is
 * parsed can be written and read back, and the algebra holds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gtid.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
        if (!holds)
                abort();
}

static void try_pair(GtidFamily family, const char *one, const char *other)
{
        CLEANUP(gtid_free) GtidSet *a = NULL;
        CLEANUP(gtid_free) GtidSet *b = NULL;
        CLEANUP(gtid_free) GtidSet *again = NULL;
        if (gtid_parse(family, one, &a, NULL) < 0 || gtid_parse(family, other, &b, NULL) < 0)
                return;
        CLEANUP(mem_free) char *text = gtid_format(a);
        require(gtid_parse(family, text, &again, NULL) == 0 && gtid_equal(a, again));
        free(gtid_describe(a));
        CLEANUP(gtid_free) GtidSet *both = gtid_union(a, b);
        CLEANUP(gtid_free) GtidSet *rest = gtid_subtract(a, b);
        CLEANUP(gtid_free) GtidSet *back = gtid_union(rest, b);
        require(gtid_contains(both, a) && gtid_contains(both, b) && gtid_contains(a, rest) && gtid_contains(back, a));
        require(gtid_contains(b, a) == gtid_is_empty(rest));
        require(gtid_count(rest) <= gtid_count(a) && gtid_count(both) >= gtid_count(a));
        CLEANUP(gtid_free) GtidSet *source = gtid_of_source(a, "3e11fa47-71ca-11e1-9e33-c80aa9429562");
        CLEANUP(gtid_free) GtidSet *server = gtid_of_server(a, 1);
        require(gtid_count(source) <= gtid_count(a) && gtid_count(server) <= gtid_count(a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(mem_free) char *text = alloc_string_n((const char *) data, size);
        size_t length = strlen(text);
        size_t rest = length < size ? size - length - 1 : 0;
        CLEANUP(mem_free) char *other = alloc_string_n((const char *) data + size - rest, rest);
        try_pair(GTID_FAMILY_MYSQL, text, other);
        try_pair(GTID_FAMILY_MARIADB, text, other);
        return 0;
}
