/* What may come next on a command line, for the shells' completion: from the same tables as parsing and help, and the names
 * from the daemon. */
#pragma once

#include "api.h"
#include "arguments.h"

/* Asks the daemon; NULL when it does not answer. The caller frees it. */
typedef Json *(*complete_ask_fn)(ApiId id, Json *parameters, void *userdata);

/* One candidate a line; nothing where a file is wanted or nothing is known. words come after the program's name; the last
 * one is being typed and may be empty. */
void complete_words(Text *out, const Verb *verbs, size_t n_verbs, char **words, size_t n_words, complete_ask_fn ask,
                    void *userdata);
