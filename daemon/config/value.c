/* Members by type. Owns what the members point to on behalf of their struct; must never print a secret. */
#include "value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "endpoint.h"
#include "file.h"
#include "secret.h"
#include "text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define MAX_ARGUMENTS 64

void *value_member(const SchemaRow *row, void *object)
{
        return (char *) object + row->offset;
}

const void *value_member_const(const SchemaRow *row, const void *object)
{
        return (const char *) object + row->offset;
}

bool value_has_member(const SchemaRow *row)
{
        return row->type >= SCHEMA_BOOL && row->type <= SCHEMA_SECRET;
}

bool value_is_secret(const SchemaRow *row)
{
        return row->type >= SCHEMA_SECRET;
}

static bool is_text(const SchemaRow *row)
{
        return row->type >= SCHEMA_TEXT && row->type < SCHEMA_ARGUMENTS;
}

/* --- what a text may look like: a complaint, or NULL --------------------------------------------------------------- */

static bool consists_of(const char *text, const char *first, const char *further, size_t limit)
{
        size_t length = strlen(text);
        return length > 0 && length <= limit && strchr(first, text[0]) && strspn(text, further) == length;
}

static const char *complain_text(const char *text)
{
        for (const char *c = text; *c; c++)
                if ((unsigned char) *c < 0x20 || *c == 0x7f)
                        return "must not contain control characters";
        return NULL;
}

static const char *complain_cluster_name(const char *text)
{
        return consists_of(text, LOWER DIGITS, LOWER DIGITS "_.-", 63)
                       ? NULL
                       : "is no name of a cluster: lower-case letters, digits and, after the first character, _ . -";
}

static const char *complain_server_name(const char *text)
{
        return consists_of(text, LOWER UPPER DIGITS, LOWER UPPER DIGITS "_.-", 63)
                       ? NULL
                       : "is no name of a server: letters, digits and, after the first character, _ . -";
}

static const char *complain_host(const char *text)
{
        return consists_of(text, LOWER UPPER DIGITS ":_", LOWER UPPER DIGITS "._:%-", 255)
                       ? NULL
                       : "is neither a host name nor an address";
}

static const char *complain_account(const char *text)
{
        return consists_of(text, LOWER UPPER DIGITS "_", LOWER UPPER DIGITS "_.@$-", 255) ? NULL
                                                                                          : "is no name of an account";
}

static const char *complain_path(const char *text)
{
        if (text[0] != '/')
                return "must be an absolute path";
        return complain_text(text);
}

static const char *complain_network_address(const char *text)
{
        const char *wanted = "must be an address with the length of its network, such as 10.0.0.100/24";
        const char *slash = strchr(text, '/');
        if (!slash || slash == text || slash - text >= INET6_ADDRSTRLEN || !consists_of(slash + 1, DIGITS, DIGITS, 3))
                return wanted;
        CLEANUP(mem_free) char *address = alloc_string_n(text, (size_t) (slash - text));
        unsigned long length = strtoul(slash + 1, NULL, 10);
        struct in6_addr parsed;
        bool v6 = inet_pton(AF_INET6, address, &parsed) == 1;
        if (!v6 && inet_pton(AF_INET, address, &parsed) != 1)
                return wanted;
        return length >= 1 && length <= (v6 ? 128 : 32) ? NULL : wanted;
}

static const char *complain_endpoint(const char *text)
{
        struct sockaddr_storage address;
        socklen_t length;
        return endpoint_parse(text, &address, &length) < 0
                       ? "must be an address with a port, such as 127.0.0.1:9104 or [::1]:9104"
                       : NULL;
}

static const char *complain_device(const char *text)
{
        return consists_of(text, LOWER UPPER DIGITS "_", LOWER UPPER DIGITS "_.:@-", 15)
                       ? NULL
                       : "is no name of a network device (at most 15 characters)";
}

static const char *complain_table(const char *text)
{
        const char *dot = strchr(text, '.'), *allowed = LOWER UPPER DIGITS "_$";
        size_t schema = strspn(text, allowed);
        if (!dot || schema == 0 || text + schema != dot || schema > 64 || !consists_of(dot + 1, allowed, allowed, 64))
                return "must be schema.table, of letters, digits, _ and $";
        return NULL;
}

static const char *complain(const SchemaRow *row, const char *text)
{
        switch (row->type) {
        case SCHEMA_TEXT:
        case SCHEMA_GROUP:
        case SCHEMA_COMMAND:
                return complain_text(text);
        case SCHEMA_CLUSTER_NAME:
                return complain_cluster_name(text);
        case SCHEMA_SERVER_NAME:
                return complain_server_name(text);
        case SCHEMA_HOST:
                return complain_host(text);
        case SCHEMA_ACCOUNT:
                return complain_account(text);
        case SCHEMA_PATH:
        case SCHEMA_FILE:
        case SCHEMA_KEY_FILE:
                return complain_path(text);
        case SCHEMA_NETWORK_ADDRESS:
                return complain_network_address(text);
        case SCHEMA_ENDPOINT:
                return complain_endpoint(text);
        case SCHEMA_DEVICE:
                return complain_device(text);
        case SCHEMA_TABLE:
                return complain_table(text);
        case SCHEMA_SECTION:
        case SCHEMA_DEFAULTS:
        case SCHEMA_SERVERS:
        case SCHEMA_OBSERVERS:
        case SCHEMA_BOOL:
        case SCHEMA_PORT:
        case SCHEMA_COUNT:
        case SCHEMA_DURATION:
        case SCHEMA_SIZE:
        case SCHEMA_CHOICE:
        case SCHEMA_ARGUMENTS:
        case SCHEMA_SECRET:
        case SCHEMA_SECRET_FILE:
        case SCHEMA_SECRET_CREDENTIAL:
        case SCHEMA_SECRET_COMMAND:
        case _SCHEMA_TYPE_MAX:
                return NULL;
        }
        return NULL;
}

/* --- scalars: each returns a complaint that the caller frees, or NULL and sets *ret -------------------------------- */

static char *parse_bool(const char *text, bool *ret)
{
        static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };
        for (size_t i = 0; i < ARRAY_LENGTH(yes); i++) {
                if (strcmp(text, yes[i]) != 0 && strcmp(text, no[i]) != 0)
                        continue;
                *ret = strcmp(text, yes[i]) == 0;
                return NULL;
        }
        return alloc_string("must be true or false");
}

static char *parse_number(const SchemaRow *row, const char *text, uint64_t *ret)
{
        size_t digits = strspn(text, DIGITS);
        uint64_t number = digits > 0 && digits <= 10 ? strtoull(text, NULL, 10) : UINT64_MAX;
        if (digits == 0 || text[digits])
                return alloc_string("must be a whole number");
        if (number < row->min || number > row->max)
                return text_format("must be from %ju to %ju", (uintmax_t) row->min, (uintmax_t) row->max);
        *ret = number;
        return NULL;
}

static char *parse_duration(const SchemaRow *row, const char *text, usec_t *ret)
{
        usec_t duration;
        if (usec_parse(text, &duration) < 0)
                return alloc_string("must be a duration with its unit, such as 500ms or 3s");
        if (duration < row->min || duration > row->max) {
                CLEANUP(mem_free) char *min = usec_format(row->min), *max = usec_format(row->max);
                return text_format("must be from %s to %s", min, max);
        }
        if (duration % USEC_MSEC)
                return alloc_string("must be whole milliseconds");
        *ret = duration;
        return NULL;
}

static char *parse_size(const char *text, uint64_t *ret)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
        if (strcmp(text, "none") == 0) {
                *ret = CONFIG_NO_LIMIT;
                return NULL;
        }
        size_t digits = strspn(text, DIGITS);
        for (size_t i = 0; digits > 0 && digits <= 12 && i < ARRAY_LENGTH(units); i++) {
                uint64_t number = strtoull(text, NULL, 10);
                if (strcmp(text + digits, units[i]) != 0 || number > (UINT64_C(1) << 50) >> (10 * i))
                        continue;
                *ret = number << (10 * i);
                return NULL;
        }
        return alloc_string("must be a size with its unit, such as 64MiB, or none");
}

static char *parse_choice(const SchemaRow *row, const char *text, int *ret)
{
        for (int i = 0; row->choices[i]; i++)
                if (strcmp(row->choices[i], text) == 0) {
                        *ret = i;
                        return NULL;
                }
        CLEANUP(mem_free) char *choices = schema_describe_type(row);
        return text_format("must be one of %s", choices);
}

static char *parse_text(const SchemaRow *row, const char *text, char **member)
{
        const char *complaint = *text ? complain(row, text) : "must not be empty";
        if (complaint)
                return alloc_string(complaint);
        if (row->max && strlen(text) > row->max)
                return text_format("is longer than %ju characters", (uintmax_t) row->max);
        free(*member);
        *member = alloc_string(text);
        return NULL;
}

/* Puts text into the member, or says why not. */
static char *parse(const SchemaRow *row, const char *text, void *object)
{
        void *member = value_member(row, object);
        uint64_t number = 0;
        char *complaint;
        switch (row->type) {
        case SCHEMA_BOOL:
                return parse_bool(text, member);
        case SCHEMA_PORT:
                complaint = parse_number(row, text, &number);
                if (!complaint)
                        *(uint16_t *) member = (uint16_t) number;
                return complaint;
        case SCHEMA_COUNT:
                complaint = parse_number(row, text, &number);
                if (!complaint)
                        *(unsigned *) member = (unsigned) number;
                return complaint;
        case SCHEMA_DURATION:
                return parse_duration(row, text, member);
        case SCHEMA_SIZE:
                return parse_size(text, member);
        case SCHEMA_CHOICE:
                return parse_choice(row, text, member);
        case SCHEMA_TEXT:
        case SCHEMA_CLUSTER_NAME:
        case SCHEMA_SERVER_NAME:
        case SCHEMA_HOST:
        case SCHEMA_ACCOUNT:
        case SCHEMA_GROUP:
        case SCHEMA_PATH:
        case SCHEMA_FILE:
        case SCHEMA_KEY_FILE:
        case SCHEMA_NETWORK_ADDRESS:
        case SCHEMA_ENDPOINT:
        case SCHEMA_DEVICE:
        case SCHEMA_TABLE:
        case SCHEMA_COMMAND:
                return parse_text(row, text, member);
        case SCHEMA_SECTION:
        case SCHEMA_DEFAULTS:
        case SCHEMA_SERVERS:
        case SCHEMA_OBSERVERS:
        case SCHEMA_ARGUMENTS:
        case SCHEMA_SECRET:
        case SCHEMA_SECRET_FILE:
        case SCHEMA_SECRET_CREDENTIAL:
        case SCHEMA_SECRET_COMMAND:
        case _SCHEMA_TYPE_MAX:
                break;
        }
        return alloc_string("cannot be written as one word");
}

/* --- what the world has to say -------------------------------------------------------------------------------------- */

static int check_group(const char *name, Failure *reterr)
{
        char buffer[16384];
        struct group group, *found = NULL;
        int error = getgrnam_r(name, &group, buffer, sizeof buffer, &found);
        if (found || error == ERANGE)
                return 0;
        return failure_set(reterr, FAILURE_INVALID, 0, "there is no group of that name");
}

static int check_readable(const char *path, Failure *reterr)
{
        return access(path, R_OK) < 0 ? failure_errno(reterr, errno, "cannot read %s", path) : 0;
}

/* The first word of a shell command, when it is a path as such; anything else is for the shell to find. */
static int check_command(const char *command, Failure *reterr)
{
        size_t length = strcspn(command, " \t\"'\\$`;&|<>()*?[#~=%");
        CLEANUP(mem_free) char *program = alloc_string_n(command, length);
        bool is_path = program[0] == '/' && (!command[length] || strchr(" \t", command[length]));
        return is_path && access(program, X_OK) < 0 ? failure_errno(reterr, errno, "cannot run %s", program) : 0;
}

static int check_outside(const SchemaRow *row, const char *text, Failure *reterr)
{
        if (row->type == SCHEMA_COMMAND)
                return check_command(text, reterr);
        if (row->type == SCHEMA_GROUP)
                return check_group(text, reterr);
        if (row->type == SCHEMA_FILE)
                return check_readable(text, reterr);
        if (row->type != SCHEMA_KEY_FILE)
                return 0;
        int r = file_check_private(text, reterr);
        return r < 0 ? r : check_readable(text, reterr);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

/* A scalar with something in it, without NUL bytes. */
static bool expect_scalar(Reading *reading, const SchemaRow *row, const Tree *tree)
{
        const char *complaint = NULL;
        if (tree->kind != TREE_SCALAR)
                complaint = "must be one value, not a list or a map";
        else if (tree_is_blank(tree))
                complaint = "has no value";
        else if (strlen(tree->text) != tree->length)
                complaint = "must not contain NUL bytes";
        if (complaint)
                reading_error(reading, tree->place, "%s %s", row->path, complaint);
        return !complaint;
}

static bool read_scalar(Reading *reading, const SchemaRow *row, const Tree *tree, void *object)
{
        if (!expect_scalar(reading, row, tree))
                return false;
        CLEANUP(mem_free) char *complaint = parse(row, tree->text, object);
        if (complaint) {
                CLEANUP(mem_free) char *shown = reading_quote(tree->text);
                reading_error(reading, tree->place, "%s: %s %s", row->path, shown, complaint);
                return false;
        }
        Failure failure;
        if (!reading->offline && is_text(row) && check_outside(row, tree->text, &failure) < 0) {
                reading_error(reading, tree->place, "%s: %s", row->path, failure.text);
                return false;
        }
        return true;
}

static void free_arguments(char **arguments)
{
        for (char **argument = arguments; argument && *argument; argument++)
                free(*argument);
        free(arguments);
}

static const char *complain_argument(const Tree *argument)
{
        if (argument->kind != TREE_SCALAR || tree_is_blank(argument))
                return "must be a list of words";
        if (strlen(argument->text) != argument->length)
                return "must not contain NUL bytes";
        return NULL;
}

static char **read_arguments(Reading *reading, const SchemaRow *row, const Tree *tree)
{
        if (tree->kind != TREE_LIST || tree->n_children == 0 || tree->n_children > MAX_ARGUMENTS) {
                reading_error(reading, tree->place, "%s must be a list of a program and its arguments", row->path);
                return NULL;
        }
        for (size_t i = 0; i < tree->n_children; i++) {
                const char *complaint = complain_argument(tree->children[i]);
                if (complaint) {
                        reading_error(reading, tree->children[i]->place, "%s %s", row->path, complaint);
                        return NULL;
                }
        }
        const Tree *program = tree->children[0];
        const char *complaint = complain_path(program->text);
        if (complaint) {
                reading_error(reading, program->place, "%s: the program %s", row->path, complaint);
                return NULL;
        }
        if (!reading->offline && access(program->text, X_OK) < 0) {
                reading_error(reading, program->place, "%s: cannot run %s: %s", row->path, program->text,
                              strerror(errno));
                return NULL;
        }
        char **arguments = ALLOC_ARRAY(char *, tree->n_children + 1);
        for (size_t i = 0; i < tree->n_children; i++)
                arguments[i] = alloc_string(tree->children[i]->text);
        return arguments;
}

static int get_secret(Reading *reading, const SchemaRow *row, const char *text, char *const *arguments, char **ret,
                      Failure *reterr)
{
        *ret = NULL;
        if (text && !*text)
                return failure_set(reterr, FAILURE_INVALID, 0, "must not be empty");
        if (row->type == SCHEMA_SECRET) {
                *ret = alloc_string(text);
                return reading->offline ? 0 : file_check_private(reading->file, reterr);
        }
        if (row->type == SCHEMA_SECRET_FILE && complain_path(text))
                return failure_set(reterr, FAILURE_INVALID, 0, "must be an absolute path");
        if (row->type == SCHEMA_SECRET_CREDENTIAL && (strchr(text, '/') || text[0] == '.'))
                return failure_set(reterr, FAILURE_INVALID, 0, "must be the name of a credential");
        if (reading->offline)
                return 0;
        if (row->type == SCHEMA_SECRET_FILE)
                return secret_read_file(text, ret, reterr);
        if (row->type == SCHEMA_SECRET_CREDENTIAL)
                return secret_read_credential(text, ret, reterr);
        return secret_read_command(arguments, SECRET_COMMAND_TIMEOUT, ret, reterr);
}

static bool read_secret(Reading *reading, const SchemaRow *row, const Tree *tree, void *object)
{
        char **arguments = NULL, *secret = NULL;
        if (row->type == SCHEMA_SECRET_COMMAND) {
                arguments = read_arguments(reading, row, tree);
                if (!arguments)
                        return false;
        } else if (!expect_scalar(reading, row, tree))
                return false;
        Failure failure;
        int r = get_secret(reading, row, tree->text, arguments, &secret, &failure);
        free_arguments(arguments);
        if (r < 0) {
                if (row->type == SCHEMA_SECRET_COMMAND)
                        reading_error_for_now(reading, tree->place, "%s: %s", row->path, failure.text);
                else
                        reading_error(reading, tree->place, "%s: %s", row->path, failure.text);
                text_wipe(secret);
                return false;
        }
        char **member = value_member(row, object);
        text_wipe(*member);
        *member = secret;
        return true;
}

bool value_read(Reading *reading, const SchemaRow *row, const Tree *tree, void *object)
{
        if (value_is_secret(row))
                return read_secret(reading, row, tree, object);
        if (row->type != SCHEMA_ARGUMENTS)
                return read_scalar(reading, row, tree, object);
        char **arguments = read_arguments(reading, row, tree);
        if (!arguments)
                return false;
        char ***member = value_member(row, object);
        free_arguments(*member);
        *member = arguments;
        return true;
}

/* --- the rest ------------------------------------------------------------------------------------------------------- */

void value_done(const SchemaRow *row, void *object)
{
        void *member = value_member(row, object);
        if (value_is_secret(row))
                text_wipe(*(char **) member);
        else if (row->type == SCHEMA_ARGUMENTS)
                free_arguments(*(char ***) member);
        else if (is_text(row))
                free(*(char **) member);
        else
                return;
        memset(member, 0, sizeof(char *));
}

void value_reset(const SchemaRow *row, void *object)
{
        value_done(row, object);
        if (row->otherwise)
                free(parse(row, row->otherwise, object));
        else if (row->type == SCHEMA_PORT)
                *(uint16_t *) value_member(row, object) = 0;
}

static size_t count_arguments(char *const *arguments)
{
        size_t n = 0;
        while (arguments && arguments[n])
                n++;
        return n;
}

static char **copy_arguments(char *const *arguments)
{
        if (!arguments)
                return NULL;
        size_t n = count_arguments(arguments);
        char **copy = ALLOC_ARRAY(char *, n + 1);
        for (size_t i = 0; i < n; i++)
                copy[i] = alloc_string(arguments[i]);
        return copy;
}

void value_unshare(const SchemaRow *row, void *object)
{
        void *member = value_member(row, object);
        if (row->type == SCHEMA_ARGUMENTS)
                *(char ***) member = copy_arguments(*(char ***) member);
        else if (is_text(row) || value_is_secret(row))
                *(char **) member = alloc_string(*(char **) member);
}

static bool equal_arguments(char *const *a, char *const *b)
{
        size_t n = count_arguments(a);
        if (n != count_arguments(b))
                return false;
        for (size_t i = 0; i < n; i++)
                if (strcmp(a[i], b[i]) != 0)
                        return false;
        return true;
}

static size_t size_of(const SchemaRow *row)
{
        if (row->type == SCHEMA_BOOL)
                return sizeof(bool);
        if (row->type == SCHEMA_PORT)
                return sizeof(uint16_t);
        if (row->type == SCHEMA_COUNT)
                return sizeof(unsigned);
        if (row->type == SCHEMA_CHOICE)
                return sizeof(int);
        return sizeof(uint64_t);
}

bool value_equal(const SchemaRow *row, const void *a, const void *b)
{
        const void *x = value_member_const(row, a), *y = value_member_const(row, b);
        if (row->type == SCHEMA_ARGUMENTS)
                return equal_arguments(*(char *const *const *) x, *(char *const *const *) y);
        if (is_text(row) || value_is_secret(row))
                return text_equal(*(const char *const *) x, *(const char *const *) y);
        return memcmp(x, y, size_of(row)) == 0;
}

bool value_is_set(const SchemaRow *row, const void *object)
{
        const void *member = value_member_const(row, object);
        if (row->type >= SCHEMA_TEXT)
                return *(const void *const *) member != NULL;
        if (row->type == SCHEMA_PORT)
                return *(const uint16_t *) member != 0;
        if (row->type == SCHEMA_SIZE)
                return *(const uint64_t *) member != CONFIG_NO_LIMIT;
        return true;
}

static void duration_to_json(const char *leaf, usec_t duration, Json *json)
{
        CLEANUP(mem_free) char *name = text_format("%s_ms", leaf);
        json_set_int(json, name, (int64_t) (duration / USEC_MSEC));
}

static void has_to_json(const char *leaf, bool has, Json *json)
{
        CLEANUP(mem_free) char *name = text_format("has_%s", leaf);
        json_set_bool(json, name, has);
}

void value_to_json(const SchemaRow *row, const void *object, Json *json)
{
        const void *member = value_member_const(row, object);
        const char *leaf = schema_leaf(row);
        if (value_is_secret(row))
                has_to_json(leaf, value_is_set(row, object), json);
        else if (!value_is_set(row, object))
                return;
        else if (row->type == SCHEMA_BOOL)
                json_set_bool(json, leaf, *(const bool *) member);
        else if (row->type == SCHEMA_PORT)
                json_set_int(json, leaf, *(const uint16_t *) member);
        else if (row->type == SCHEMA_COUNT)
                json_set_int(json, leaf, *(const unsigned *) member);
        else if (row->type == SCHEMA_SIZE)
                json_set_int(json, leaf, (int64_t) * (const uint64_t *) member);
        else if (row->type == SCHEMA_DURATION)
                duration_to_json(leaf, *(const usec_t *) member, json);
        else if (row->type == SCHEMA_CHOICE)
                json_set_string(json, leaf, row->choices[*(const int *) member]);
        else if (row->type == SCHEMA_ARGUMENTS || row->type == SCHEMA_COMMAND)
                json_set_bool(json, leaf, true);
        else
                json_set_string(json, leaf, *(const char *const *) member);
}
