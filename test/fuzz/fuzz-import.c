/* Whatever bytes stand in MHA's files, the global one before the first NUL byte. What comes out can be read as YAML, and has
 * no secret in it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "text.h"
#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_yaml(const char *text)
{
        CLEANUP(tree_free) Tree *tree = NULL;
        TreePlace place;
        Failure failure;
        /* It is no text in the first place: a password may be, a name of a host may not. */
        if (tree_parse(text, strlen(text), &tree, &place, &failure) < 0 && !strstr(failure.text, "UTF-8"))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(mem_free) char *first = alloc_string_n((const char *) data, size);
        size_t length = strlen(first);
        bool two = length < size;
        CLEANUP(mem_free)
        char *second = two ? alloc_string_n((const char *) data + length + 1, size - length - 1) : NULL;
        const ImportRequest request = {
                .file = "/etc/masterha/app1.cnf",
                .text = two ? second : first,
                .global_file = "/etc/masterha_default.cnf",
                .global_text = two ? first : NULL,
                .directory = "/etc/mhad",
        };
        CLEANUP(json_free) Json *errors = json_array();
        Import import = { 0 };
        if (import_read(&request, &import, errors) < 0) {
                if (json_length(errors) == 0)
                        abort();
                return 0;
        }
        expect_yaml(import.yaml.text);
        expect_yaml(import.main);
        for (size_t i = 0; i < import.n_secrets; i++) {
                char *secret = import.secrets[i].text;
                secret[strlen(secret) - 1] = '\0';
                if (text_starts_with(secret, "s3cret") && strstr(import.yaml.text, secret))
                        abort();
        }
        import_done(&import);
        return 0;
}
