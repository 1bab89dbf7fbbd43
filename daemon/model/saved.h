/* What is written down beside saved logs, and what it tells: the note of the copies (SAVED_NOTE) and the index of what is in
 * them (SAVED_INDEX). What comes from a file is believed in nothing. */
#pragma once

#include "json.h"
#include "ranges.h"

#define SAVED_NOTE "saved.json"
#define SAVED_INDEX "index.json"
#define SAVED_NOTE_MAX ((size_t) 16 * 1024 * 1024)
#define SAVED_INDEX_MAX ((size_t) 256 * 1024 * 1024)

/* The index with what it covers: {"borders": how many of the note's are in it, "sources": [{"server", "files": [{"file",
 * "from", "size"}]}]}, the sources in the order of the index. Free with free(). */
char *saved_index_print(const Ranges *ranges, const Json *covers);
int saved_index_parse(const char *text, size_t length, Ranges **ret, Json **ret_covers, Failure *reterr);

/* {"complete", "bytes", "n_transactions", "exact", "end", "last", "torn", "gtids", "holes": […], "lacks", "missing"}; the
 * last two may be NULL. */
Json *saved_describe_answer(const RangesAnswer *answer, const GtidSet *lacks, const GtidSet *missing);
/* Adds "differ": where two sources have not the same, in words. */
void saved_add_differences(const Ranges *ranges, Json *json);
/* All that is known of one run: {"why", "sources": [{"server", "kind", "state": "complete"|"partial"|"failed", "failure",
 * "damage", "n_files", "n_copied", "bytes", "verified"}], "files": [{"server", "file", "name", "from", "to", "size", "copied",
 * "verified", "sha256"}], "ranges": [{"server", "file", "from", "to"}], "holds": an answer, "differ"}. ranges may be NULL;
 * name is the copy's path in the run's folder. */
Json *saved_describe(const Json *note, const Ranges *ranges);
/* A name that can be a file of a folder of ours. */
bool saved_is_plain_name(const char *name);
/* The name of a copy in its source's folder; of a part of a file it tells where it begins. Free with free(). */
char *saved_copy_name(const char *file, uint64_t from);
