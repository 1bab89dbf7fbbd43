/* Whatever bytes stand in a file of the configuration. The first byte says whether it is the main file or a cluster's.
 * Nothing that is named in it is looked at or run. What is accepted survives a copy and can be shown. */
#include <stdint.h>
#include <stdlib.h>

#include "draft.h"
#include "text.h"
#include "value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_cluster(const Draft *base, Reading *reading, const Tree *tree)
{
        Draft draft = draft_inherit(base);
        draft_read_cluster(&draft, reading, tree);
        draft_check(&draft, reading);
        if (json_length(reading->errors) == 0) {
                CLEANUP(cluster_config_free) ClusterConfig *copy = cluster_config_copy(draft.config);
                CLEANUP(json_free) Json *json = cluster_config_to_json(copy);
                if (!json || !cluster_config_equal(copy, draft.config) || !copy->name || copy->n_servers == 0)
                        abort();
        }
        draft_done(&draft);
}

static void read_main(Draft *base, Reading *reading, const Tree *tree)
{
        Config *config = ALLOC(Config);
        draft_read_main(config, base, reading, tree);
        config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        CLEANUP(tree_free) Tree *tree = NULL;
        TreePlace place;
        Failure failure = { 0 };
        if (tree_parse((const char *) data + 1, size - 1, &tree, &place, &failure) < 0) {
                if (!failure.text[0] || place.line == 0 || tree)
                        abort();
                return 0;
        }
        CLEANUP(json_free) Json *errors = json_array();
        CLEANUP(json_free) Json *warnings = json_array();
        Reading reading = { .file = "fuzz", .offline = true, .errors = errors, .warnings = warnings };
        Draft base = draft_new();
        if (data[0] % 2)
                read_main(&base, &reading, tree);
        else
                read_cluster(&base, &reading, tree);
        draft_done(&base);
        return 0;
}
