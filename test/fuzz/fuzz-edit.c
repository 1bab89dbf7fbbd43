/* Whatever bytes stand in a cluster's file that is to be edited. What is refused leaves nothing behind. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "edit.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const EditPair add[] = { { "host", "a b" }, { "port", NULL } };
        static const EditPair set[] = { { "host", "::1" }, { "port", "1" }, { "port", NULL } };
        CLEANUP(mem_free) char *text = alloc_string_n((const char *) data, size);
        char *results[3] = { 0 };
        int r[3] = { edit_add_server(text, "new", add, 2, &results[0], NULL),
                     edit_remove_server(text, "db1", &results[1], NULL),
                     edit_set_server(text, "db1", set, 3, &results[2], NULL) };
        for (int i = 0; i < 3; i++) {
                if ((r[i] >= 0) != (results[i] != NULL))
                        abort();
                free(results[i]);
        }
        return 0;
}
