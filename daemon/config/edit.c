/* Edits by place: the tree says where something stands, and only those bytes are changed. Owns nothing; must never touch
 * what it was not told to, so what is written in an unusual way is left for a person to edit, and what came out is read
 * again and compared. */
#include "edit.h"

#include <stdint.h>
#include <string.h>

#include "text.h"
#include "tree.h"

/* A text, its tree and the server that it is about. */
typedef struct Page {
        const char *text;
        Tree *root;
        const Tree *list;
        const Tree *item; /* NULL: there is no server of that name */
        size_t index;
} Page;

static int by_hand(Failure *reterr, const Tree *tree)
{
        return failure_set(reterr, FAILURE_INVALID, 0,
                           "line %zu is written in a way that is not understood: edit it by hand", tree->place.line);
}

static int page_open(const char *text, const char *name, Page *ret, Failure *reterr)
{
        Page page = { .text = text };
        TreePlace place;
        Failure failure;
        if (tree_parse(text, strlen(text), &page.root, &place, &failure) < 0)
                return failure_set(reterr, FAILURE_INVALID, 0, "line %zu: %s", place.line, failure.text);
        page.list = tree_get(page.root, "servers");
        bool plain = page.list && page.list->kind == TREE_LIST && page.list->n_children > 0;
        for (size_t i = 0; plain && i < page.list->n_children; i++) {
                const Tree *item = page.list->children[i], *said = tree_get(item, "name");
                plain = item->kind == TREE_MAP && item->n_children > 0;
                if (plain && said && said->kind == TREE_SCALAR && strcmp(said->text, name) == 0) {
                        page.item = item;
                        page.index = i;
                }
        }
        if (!plain) {
                tree_free(page.root);
                return failure_set(reterr, FAILURE_INVALID, 0, "servers: there is no list of servers to edit");
        }
        *ret = page;
        return 0;
}

/* --- places in the text --------------------------------------------------------------------------------------------- */

static size_t line_start(const char *text, size_t at)
{
        while (at > 0 && text[at - 1] != '\n')
                at--;
        return at;
}

/* The beginning of the next line, or the end. */
static size_t line_end(const char *text, size_t at)
{
        at += strcspn(text + at, "\n");
        return text[at] ? at + 1 : at;
}

/* Columns count characters. */
static size_t offset_of(const char *text, TreePlace place)
{
        size_t at = 0;
        for (size_t line = 1; line < place.line; line++)
                at = line_end(text, at);
        for (size_t column = 1; column < place.column && text[at]; column++)
                do
                        at++;
                while (((unsigned char) text[at] & 0xC0) == 0x80);
        return at;
}

static size_t column_at(const char *text, size_t at)
{
        return at - line_start(text, at);
}

/* The end of the line where something ends: a block scalar ends where the next line begins. */
static size_t end_of_lines(const char *text, const Tree *tree)
{
        size_t at = offset_of(text, tree->end);
        bool ended = tree->end.line > tree->place.line && tree->end.column == 1;
        return ended ? at : line_end(text, at);
}

/* The same with the comments below that are indented as deep as it is. */
static size_t end_with_comments(const char *text, const Tree *item)
{
        size_t indent = item->place.column - 1, at = end_of_lines(text, item);
        for (;;) {
                size_t blank = strspn(text + at, " ");
                if (text[at + blank] != '#' || blank < indent)
                        return at;
                at = line_end(text, at);
        }
}

/* Where the dash of a block item stands; it has to be on the item's first line. */
static int find_dash(const Page *page, const Tree *item, size_t *ret, Failure *reterr)
{
        size_t at = offset_of(page->text, item->place);
        while (at > 0 && page->text[at - 1] == ' ')
                at--;
        if (at == 0 || page->text[at - 1] != '-')
                return by_hand(reterr, item);
        *ret = at - 1;
        return strspn(page->text + line_start(page->text, at - 1), " ") == column_at(page->text, at - 1)
                       ? 0
                       : by_hand(reterr, item);
}

static char *splice(const char *text, size_t from, size_t to, const char *with)
{
        Text out = { 0 };
        text_add_n(&out, text, from);
        text_add(&out, with);
        text_add(&out, text + to);
        return text_take(&out);
}

/* A line of its own before the line that begins at at. */
static char *insert_line(const char *text, size_t at, const char *line)
{
        bool open = at > 0 && text[at - 1] != '\n';
        CLEANUP(mem_free) char *whole = text_format("%s%s\n", open ? "\n" : "", line);
        return splice(text, at, at, whole);
}

/* --- comparing ------------------------------------------------------------------------------------------------------ */

static bool equal(const Tree *a, const Tree *b);

/* Whether a and b are the same but for child number i of a, which may be anything in b or, when it is gone, is not there. */
static bool equal_but(const Tree *a, const Tree *b, size_t i, bool gone)
{
        if (a->kind != b->kind || !text_equal(a->key, b->key) || a->n_children != b->n_children + gone)
                return false;
        for (size_t j = 0; j < a->n_children; j++)
                if (j != i && !equal(a->children[j], b->children[gone && j > i ? j - 1 : j]))
                        return false;
        return true;
}

static bool equal(const Tree *a, const Tree *b)
{
        return equal_but(a, b, SIZE_MAX, false) && tree_is_null(a) == tree_is_null(b) &&
               tree_is_blank(a) == tree_is_blank(b) && a->length == b->length &&
               (a->kind != TREE_SCALAR || memcmp(a->text, b->text, a->length) == 0);
}

static bool is_pair(const Tree *tree, const char *key, const char *value)
{
        return text_equal(tree->key, key) && tree->kind == TREE_SCALAR && text_equal(tree->text, value);
}

static size_t number_of(const Tree *parent, const Tree *child)
{
        size_t i = 0;
        while (i < parent->n_children && parent->children[i] != child)
                i++;
        return i;
}

static bool is_item(const Tree *item, const char *name, const EditPair *pairs, size_t n_pairs)
{
        size_t n = 1;
        if (item->kind != TREE_MAP || item->n_children == 0 || !is_pair(item->children[0], "name", name))
                return false;
        for (size_t i = 0; i < n_pairs; i++)
                if (pairs[i].value &&
                    (n == item->n_children || !is_pair(item->children[n++], pairs[i].key, pairs[i].value)))
                        return false;
        return n == item->n_children;
}

/* Of the server's keys only this one. */
static bool is_set(const Tree *before, const Tree *after, const EditPair *pair)
{
        const Tree *child = tree_get(before, pair->key);
        size_t i = number_of(before, child);
        if (!pair->value)
                return equal_but(before, after, i, true);
        if (!child && !equal_but(after, before, i, true))
                return false;
        return (!child || equal_but(before, after, i, false)) && is_pair(after->children[i], pair->key, pair->value);
}

typedef enum Change { CHANGE_ADD, CHANGE_REMOVE, CHANGE_SET } Change;

/* That the text says what it said, but for the one change. */
static bool is_as_meant(const Page *page, const char *text, Change change, const char *name, const EditPair *pairs,
                        size_t n_pairs)
{
        CLEANUP(tree_free) Tree *root = NULL;
        TreePlace place;
        if (tree_parse(text, strlen(text), &root, &place, NULL) < 0 ||
            !equal_but(page->root, root, number_of(page->root, page->list), false))
                return false;
        const Tree *before = page->list, *after = tree_get(root, "servers");
        if (!after || after->kind != TREE_LIST)
                return false;
        size_t i = page->index;
        if (change == CHANGE_REMOVE)
                return equal_but(before, after, i, true);
        if (change == CHANGE_SET)
                return equal_but(before, after, i, false) && after->children[i]->kind == TREE_MAP &&
                       is_set(page->item, after->children[i], pairs);
        return equal_but(after, before, before->n_children, true) &&
               is_item(after->children[before->n_children], name, pairs, n_pairs);
}

/* Gives the text over, or an error. */
static int hand_over(const Page *page, char *text, Change change, const char *name, const EditPair *pairs,
                     size_t n_pairs, char **ret, Failure *reterr)
{
        if (!is_as_meant(page, text, change, name, pairs, n_pairs)) {
                text_wipe(text);
                return by_hand(reterr, page->item ? page->item : page->list);
        }
        *ret = text;
        return 0;
}

/* --- adding --------------------------------------------------------------------------------------------------------- */

static char *write_item(const char *name, const EditPair *pairs, size_t n_pairs, bool flow, size_t indent)
{
        Text out = { 0 };
        CLEANUP(mem_free) char *shown = tree_write_scalar(name);
        text_addf(&out, flow ? "{ name: %s" : "name: %s", shown);
        for (size_t i = 0; i < n_pairs; i++) {
                if (!pairs[i].value)
                        continue;
                CLEANUP(mem_free) char *value = tree_write_scalar(pairs[i].value);
                if (flow)
                        text_addf(&out, ", %s: %s", pairs[i].key, value);
                else
                        text_addf(&out, "\n%*s%s: %s", (int) indent, "", pairs[i].key, value);
        }
        text_add(&out, flow ? " }" : "");
        return text_take(&out);
}

/* The way the last one is written. */
static int add(const Page *page, const char *name, const EditPair *pairs, size_t n_pairs, char **ret, Failure *reterr)
{
        const Tree *last = page->list->children[page->list->n_children - 1];
        size_t indent = last->place.column - 1, dash = 0;
        CLEANUP(mem_free) char *item = write_item(name, pairs, n_pairs, last->flow, indent);
        if (page->list->flow) {
                CLEANUP(mem_free) char *whole = text_format(", %s", item);
                size_t at = offset_of(page->text, last->end);
                *ret = splice(page->text, at, at, whole);
                return 0;
        }
        int r = find_dash(page, last, &dash, reterr);
        if (r < 0)
                return r;
        size_t column = column_at(page->text, dash);
        CLEANUP(mem_free)
        char *line = text_format("%*s-%*s%s", (int) column, "", (int) (indent - column - 1), "", item);
        *ret = insert_line(page->text, end_with_comments(page->text, last), line);
        return 0;
}

int edit_add_server(const char *text, const char *name, const EditPair *pairs, size_t n_pairs, char **ret,
                    Failure *reterr)
{
        Page page;
        char *edited = NULL;
        int r = page_open(text, name, &page, reterr);
        if (r < 0)
                return r;
        if (page.item)
                r = failure_set(reterr, FAILURE_INVALID, 0, "there is a server %s already (line %zu)", name,
                                page.item->place.line);
        else
                r = add(&page, name, pairs, n_pairs, &edited, reterr);
        if (r >= 0)
                r = hand_over(&page, edited, CHANGE_ADD, name, pairs, n_pairs, ret, reterr);
        tree_free(page.root);
        return r;
}

/* --- removing ------------------------------------------------------------------------------------------------------- */

static int open_at(const char *text, const char *name, Page *ret, Failure *reterr)
{
        int r = page_open(text, name, ret, reterr);
        if (r < 0 || ret->item)
                return r;
        Text known = { 0 };
        for (size_t i = 0; i < ret->list->n_children; i++) {
                const Tree *said = tree_get(ret->list->children[i], "name");
                text_separate(&known, ", ");
                text_add(&known, said && said->kind == TREE_SCALAR ? said->text : "?");
        }
        r = failure_set(reterr, FAILURE_INVALID, 0, "there is no server %s, only %s", name, known.data);
        text_done(&known);
        tree_free(ret->root);
        return r;
}

/* A child of something in brackets, with one of the commas beside it. */
static char *cut_flow(const char *text, const Tree *parent, size_t i, bool by_key)
{
        const Tree *child = parent->children[i], *next = i + 1 < parent->n_children ? parent->children[i + 1] : NULL;
        size_t from = offset_of(text, by_key ? child->place_of_key : child->place);
        if (next)
                return splice(text, from, offset_of(text, by_key ? next->place_of_key : next->place), "");
        if (i > 0)
                from = offset_of(text, parent->children[i - 1]->end);
        return splice(text, from, offset_of(text, child->end), "");
}

int edit_remove_server(const char *text, const char *name, char **ret, Failure *reterr)
{
        Page page;
        size_t dash = 0;
        char *edited = NULL;
        int r = open_at(text, name, &page, reterr);
        if (r < 0)
                return r;
        if (page.list->flow)
                edited = cut_flow(text, page.list, page.index, false);
        else if ((r = find_dash(&page, page.item, &dash, reterr)) >= 0)
                edited = splice(text, line_start(text, dash), end_with_comments(text, page.item), "");
        if (r >= 0)
                r = hand_over(&page, edited, CHANGE_REMOVE, name, NULL, 0, ret, reterr);
        tree_free(page.root);
        return r;
}

/* --- changing ------------------------------------------------------------------------------------------------------- */

static int replace_value(const char *text, const Tree *child, const char *value, char **ret, Failure *reterr)
{
        size_t from = offset_of(text, child->place), to = offset_of(text, child->end);
        if (child->kind != TREE_SCALAR || child->place.line != child->end.line)
                return by_hand(reterr, child);
        CLEANUP(mem_free) char *shown = tree_write_scalar(value);
        CLEANUP(mem_free)
        char *with = text_format("%s%s", from == to && from > 0 && text[from - 1] == ':' ? " " : "", shown);
        *ret = splice(text, from, to, with);
        return 0;
}

static int cut_key(const char *text, const Tree *item, size_t i, char **ret, Failure *reterr)
{
        const Tree *child = item->children[i];
        size_t key = offset_of(text, child->place_of_key);
        if (item->flow) {
                *ret = cut_flow(text, item, i, true);
                return 0;
        }
        size_t start = line_start(text, key), end = end_of_lines(text, child);
        if (strspn(text + start, " ") == key - start) {
                *ret = splice(text, start, end, "");
                return 0;
        }
        /* It stands beside the dash: the next one moves there. */
        if (i + 1 == item->n_children || item->children[i + 1]->place_of_key.line != child->end.line + 1)
                return by_hand(reterr, child);
        *ret = splice(text, key, offset_of(text, item->children[i + 1]->place_of_key), "");
        return 0;
}

static char *append_key(const char *text, const Tree *item, const EditPair *pair)
{
        const Tree *last = item->children[item->n_children - 1];
        CLEANUP(mem_free) char *value = tree_write_scalar(pair->value);
        if (item->flow) {
                CLEANUP(mem_free) char *whole = text_format(", %s: %s", pair->key, value);
                size_t at = offset_of(text, last->end);
                return splice(text, at, at, whole);
        }
        CLEANUP(mem_free)
        char *line = text_format("%*s%s: %s", (int) (item->place.column - 1), "", pair->key, value);
        return insert_line(text, end_of_lines(text, last), line);
}

static int set_one(const char *text, const char *name, const EditPair *pair, char **ret, Failure *reterr)
{
        Page page;
        char *edited = NULL;
        int r = open_at(text, name, &page, reterr);
        if (r < 0)
                return r;
        const Tree *item = page.item, *child = tree_get(item, pair->key);
        if (child && pair->value)
                r = replace_value(text, child, pair->value, &edited, reterr);
        else if (child)
                r = cut_key(text, item, number_of(item, child), &edited, reterr);
        else if (pair->value)
                edited = append_key(text, item, pair);
        else
                r = failure_set(reterr, FAILURE_INVALID, 0, "%s has no %s", name, pair->key);
        if (r >= 0)
                r = hand_over(&page, edited, CHANGE_SET, name, pair, 1, ret, reterr);
        tree_free(page.root);
        return r;
}

int edit_set_server(const char *text, const char *name, const EditPair *pairs, size_t n_pairs, char **ret,
                    Failure *reterr)
{
        CLEANUP(mem_free) char *now = alloc_string(text);
        for (size_t i = 0; i < n_pairs; i++) {
                char *next = NULL;
                int r = set_one(now, name, &pairs[i], &next, reterr);
                if (r < 0)
                        return r;
                free(now);
                now = next;
        }
        *ret = TAKE(now);
        return 0;
}
