/* YAML as a tree of nodes that know their line and column. Nothing else includes libyaml. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "failure.h"

#define TREE_MAX_BYTES ((size_t) 1024 * 1024)
#define TREE_MAX_DEPTH 16
#define TREE_MAX_NODES 100000

typedef enum TreeKind {
        TREE_SCALAR,
        TREE_LIST,
        TREE_MAP,
        _TREE_KIND_MAX,
} TreeKind;

/* Where something stands in its file, counted from 1. */
typedef struct TreePlace {
        size_t line, column;
} TreePlace;

typedef struct Tree Tree;
struct Tree {
        TreeKind kind;
        TreePlace place, end; /* where it begins, and where it ends (of block lists and maps: their last scalar) */
        bool flow;            /* lists and maps: written in brackets */
        char *text;           /* scalars: never NULL; may be a secret, and is wiped */
        size_t length;        /* differs from strlen(text) when there is a NUL in it */
        bool plain;           /* scalars: written without quotes */
        char *key;            /* what it is called, when it stands in a map; place_of_key then says where */
        TreePlace place_of_key;
        Tree **children; /* lists and maps, in the order of the file */
        size_t n_children;
};

/* Parses exactly one document. Anchors, aliases, tags and maps with keys that are no scalars are refused; a key that
 * stands twice in a map is not (see tree_twin()). An empty document gives an empty map. On failure *ret_place is where. */
int tree_parse(const char *bytes, size_t length, Tree **ret, TreePlace *ret_place, Failure *reterr);
Tree *tree_free(Tree *tree);
DEFINE_CLEANUP(Tree *, tree_free)

/* The member of a map; NULL when it is absent or tree is none. */
const Tree *tree_get(const Tree *map, const char *key);
/* An earlier child of the map with the same key as its child number i, or NULL. */
const Tree *tree_twin(const Tree *map, size_t i);
/* Written as the word null or ~. */
bool tree_is_null(const Tree *tree);
/* Nothing at all was written after the colon or dash. */
bool tree_is_blank(const Tree *tree);
/* A text as a scalar of YAML that is read as that text again: plain where it may be, else in quotes. The caller frees it. */
char *tree_write_scalar(const char *text);
