/* YAML to a tree. Owns the tree while it grows; must stay within the limits of tree.h whatever the bytes are. */
#include "tree.h"

#include <string.h>
#include <yaml.h>

#include "alloc.h"
#include "text.h"

typedef struct Builder {
        yaml_parser_t parser;
        const char *bytes;
        size_t length;
        size_t n_nodes;
        TreePlace place; /* of the failure */
        Failure *reterr;
} Builder;

static int build_node(Builder *builder, const yaml_event_t *event, unsigned depth, Tree **ret);

Tree *tree_free(Tree *tree)
{
        if (!tree)
                return NULL;
        for (size_t i = 0; i < tree->n_children; i++)
                tree_free(tree->children[i]);
        free(tree->children);
        text_wipe(tree->key);
        if (tree->text)
                explicit_bzero(tree->text, tree->length);
        free(tree->text);
        free(tree);
        return NULL;
}

static TreePlace place_of_mark(const yaml_mark_t *mark)
{
        return (TreePlace){ .line = mark->line + 1, .column = mark->column + 1 };
}

static int refuse(Builder *builder, const yaml_mark_t *mark, const char *why)
{
        builder->place = place_of_mark(mark);
        return failure_set(builder->reterr, FAILURE_INVALID, 0, "%s", why);
}

/* libyaml gives the offset only. */
static TreePlace place_of_offset(const Builder *builder, size_t offset)
{
        TreePlace place = { 1, 1 };
        for (size_t i = 0; i < offset && i < builder->length; i++) {
                bool ends = builder->bytes[i] == '\n';
                place.line += ends;
                place.column = ends ? 1 : place.column + 1;
        }
        return place;
}

static int refuse_syntax(Builder *builder)
{
        const yaml_parser_t *parser = &builder->parser;
        const char *problem = parser->problem ? parser->problem : "not understood";
        if (parser->error == YAML_READER_ERROR) {
                builder->place = place_of_offset(builder, parser->problem_offset);
                return failure_set(builder->reterr, FAILURE_INVALID, 0, "not valid UTF-8 text: %s", problem);
        }
        builder->place = place_of_mark(&parser->problem_mark);
        return failure_set(builder->reterr, FAILURE_INVALID, 0, "not valid YAML: %s%s%s", problem,
                           parser->context ? " " : "", parser->context ? parser->context : "");
}

/* Deletes the event and wipes what it held. */
static void forget(yaml_event_t *event)
{
        if (event->type == YAML_SCALAR_EVENT)
                explicit_bzero(event->data.scalar.value, event->data.scalar.length);
        yaml_event_delete(event);
}

static Tree *new_node(TreeKind kind, const yaml_event_t *event)
{
        Tree *tree = ALLOC(Tree);
        tree->kind = kind;
        tree->place = place_of_mark(&event->start_mark);
        tree->end = place_of_mark(&event->end_mark);
        return tree;
}

/* The end of a block collection is reported where the next thing begins. */
static void end_collection(Tree *tree, const yaml_event_t *event)
{
        if (tree->flow)
                tree->end = place_of_mark(&event->end_mark);
        else if (tree->n_children)
                tree->end = tree->children[tree->n_children - 1]->end;
}

static void append(Tree *tree, Tree *child)
{
        ALLOC_GROW(tree->children, tree->n_children);
        tree->children[tree->n_children++] = child;
}

static int build_scalar(Builder *builder, const yaml_event_t *event, Tree **ret)
{
        if (event->data.scalar.anchor)
                return refuse(builder, &event->start_mark, "anchors (&name) are not allowed");
        if (event->data.scalar.tag)
                return refuse(builder, &event->start_mark, "tags (!name) are not allowed");
        Tree *tree = new_node(TREE_SCALAR, event);
        tree->length = event->data.scalar.length;
        tree->text = alloc_zero(tree->length + 1, 1);
        memcpy(tree->text, event->data.scalar.value, tree->length);
        tree->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        *ret = tree;
        return 0;
}

static int build_list(Builder *builder, unsigned depth, Tree *tree)
{
        for (;;) {
                yaml_event_t event;
                if (!yaml_parser_parse(&builder->parser, &event))
                        return refuse_syntax(builder);
                int r = 0;
                bool end = event.type == YAML_SEQUENCE_END_EVENT;
                Tree *child;
                if (end)
                        end_collection(tree, &event);
                else if ((r = build_node(builder, &event, depth + 1, &child)) == 0)
                        append(tree, child);
                forget(&event);
                if (r < 0 || end)
                        return r;
        }
}

static int build_pair(Builder *builder, const yaml_event_t *key, unsigned depth, Tree *tree)
{
        if (key->type != YAML_SCALAR_EVENT)
                return refuse(builder, &key->start_mark, "a key must be a plain word");
        if (strlen((const char *) key->data.scalar.value) != key->data.scalar.length)
                return refuse(builder, &key->start_mark, "a key must not contain a NUL byte");
        if (key->data.scalar.anchor || key->data.scalar.tag)
                return refuse(builder, &key->start_mark, "anchors and tags are not allowed");
        yaml_event_t event;
        if (!yaml_parser_parse(&builder->parser, &event))
                return refuse_syntax(builder);
        Tree *child;
        int r = build_node(builder, &event, depth + 1, &child);
        forget(&event);
        if (r < 0)
                return r;
        child->key = alloc_string((const char *) key->data.scalar.value);
        child->place_of_key = place_of_mark(&key->start_mark);
        append(tree, child);
        return 0;
}

static int build_map(Builder *builder, unsigned depth, Tree *tree)
{
        for (;;) {
                yaml_event_t event;
                if (!yaml_parser_parse(&builder->parser, &event))
                        return refuse_syntax(builder);
                bool end = event.type == YAML_MAPPING_END_EVENT;
                int r = end ? 0 : build_pair(builder, &event, depth, tree);
                if (end)
                        end_collection(tree, &event);
                forget(&event);
                if (r < 0 || end)
                        return r;
        }
}

static int build_collection(Builder *builder, const yaml_event_t *event, unsigned depth, Tree **ret)
{
        bool is_map = event->type == YAML_MAPPING_START_EVENT;
        if (is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor)
                return refuse(builder, &event->start_mark, "anchors (&name) are not allowed");
        if (is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag)
                return refuse(builder, &event->start_mark, "tags (!name) are not allowed");
        if (depth >= TREE_MAX_DEPTH)
                return refuse(builder, &event->start_mark, "nested too deeply");
        CLEANUP(tree_free) Tree *tree = new_node(is_map ? TREE_MAP : TREE_LIST, event);
        tree->flow = is_map ? event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                            : event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
        int r = is_map ? build_map(builder, depth, tree) : build_list(builder, depth, tree);
        if (r < 0)
                return r;
        *ret = TAKE(tree);
        return 0;
}

static int build_node(Builder *builder, const yaml_event_t *event, unsigned depth, Tree **ret)
{
        if (++builder->n_nodes > TREE_MAX_NODES)
                return refuse(builder, &event->start_mark, "too many values");
        if (event->type == YAML_SCALAR_EVENT)
                return build_scalar(builder, event, ret);
        if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT)
                return build_collection(builder, event, depth, ret);
        return refuse(builder, &event->start_mark, "aliases (*name) are not allowed");
}

static int expect(Builder *builder, yaml_event_type_t type, const char *otherwise)
{
        yaml_event_t event;
        if (!yaml_parser_parse(&builder->parser, &event))
                return refuse_syntax(builder);
        int r = event.type == type ? 0 : refuse(builder, &event.start_mark, otherwise);
        forget(&event);
        return r;
}

static Tree *empty_map(void)
{
        Tree *tree = ALLOC(Tree);
        tree->kind = TREE_MAP;
        tree->place = (TreePlace){ 1, 1 };
        return tree;
}

static int build_document(Builder *builder, Tree **ret)
{
        yaml_event_t event;
        int r = expect(builder, YAML_STREAM_START_EVENT, "not valid YAML");
        if (r < 0)
                return r;
        if (!yaml_parser_parse(&builder->parser, &event))
                return refuse_syntax(builder);
        bool empty = event.type == YAML_STREAM_END_EVENT;
        forget(&event);
        if (empty) {
                *ret = empty_map();
                return 0;
        }
        if (!yaml_parser_parse(&builder->parser, &event))
                return refuse_syntax(builder);
        CLEANUP(tree_free) Tree *tree = NULL;
        r = build_node(builder, &event, 0, &tree);
        forget(&event);
        if (r == 0)
                r = expect(builder, YAML_DOCUMENT_END_EVENT, "not valid YAML");
        if (r == 0)
                r = expect(builder, YAML_STREAM_END_EVENT, "there must be only one document in a file");
        if (r < 0)
                return r;
        if (tree_is_blank(tree))
                *ret = empty_map();
        else
                *ret = TAKE(tree);
        return 0;
}

int tree_parse(const char *bytes, size_t length, Tree **ret, TreePlace *ret_place, Failure *reterr)
{
        Builder builder = { .bytes = bytes, .length = length, .reterr = reterr, .place = { 1, 1 } };
        *ret_place = builder.place;
        if (length > TREE_MAX_BYTES)
                return failure_set(reterr, FAILURE_INVALID, 0, "larger than %zu bytes", TREE_MAX_BYTES);
        if (!yaml_parser_initialize(&builder.parser))
                return failure_set(reterr, FAILURE_SYSTEM, 12, "out of memory");
        yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&builder.parser, (const unsigned char *) bytes, length);
        int r = build_document(&builder, ret);
        *ret_place = builder.place;
        explicit_bzero(builder.parser.raw_buffer.start,
                       (size_t) (builder.parser.raw_buffer.end - builder.parser.raw_buffer.start));
        explicit_bzero(builder.parser.buffer.start, (size_t) (builder.parser.buffer.end - builder.parser.buffer.start));
        yaml_parser_delete(&builder.parser);
        return r;
}

const Tree *tree_get(const Tree *map, const char *key)
{
        for (size_t i = 0; map && map->kind == TREE_MAP && i < map->n_children; i++)
                if (strcmp(map->children[i]->key, key) == 0)
                        return map->children[i];
        return NULL;
}

const Tree *tree_twin(const Tree *map, size_t i)
{
        const Tree *first = tree_get(map, map->children[i]->key);
        return first == map->children[i] ? NULL : first;
}

bool tree_is_blank(const Tree *tree)
{
        return tree->kind == TREE_SCALAR && tree->plain && tree->length == 0;
}

bool tree_is_null(const Tree *tree)
{
        return tree->kind == TREE_SCALAR && tree->plain &&
               (strcmp(tree->text, "null") == 0 || strcmp(tree->text, "~") == 0);
}

char *tree_write_scalar(const char *text)
{
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.@%+-";
        bool is_plain = *text && !strchr(".@%+-", *text) && strspn(text, plain) == strlen(text);
        if (is_plain && strcmp(text, "null") != 0)
                return alloc_string(text);
        Text out = { 0 };
        text_add(&out, "\"");
        for (const char *c = text; *c; c++)
                if (*c == '"' || *c == '\\')
                        text_addf(&out, "\\%c", *c);
                else if ((unsigned char) *c < 0x20 || *c == 0x7f)
                        text_addf(&out, "\\x%02x", (unsigned char) *c);
                else
                        text_add_n(&out, c, 1);
        text_add(&out, "\"");
        return text_take(&out);
}
