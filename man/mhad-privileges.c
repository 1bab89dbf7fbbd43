/* Prints mhad-privileges(7) from the table that mhactl check judges by; with a server's version, only the statements for
 * it, as the page has them. Run by the build and the tests, not installed. */
#include <stdio.h>
#include <string.h>

#include "dialect-check.h"
#include "roff.h"
#include "text.h"

#define ACCOUNT "'mhad'@'%'"

/* One statement serves all versions of a row: the build fails when the table says otherwise. */
static const struct {
        const char *title;
        const char *versions[4];
} flavours[] = {
        { "MySQL 5.6", { "5.6.10", "5.6.51" } },
        { "MySQL 5.7", { "5.7.8", "5.7.44" } },
        { "MySQL 8.0", { "8.0.16", "8.0.46" } },
        { "MySQL 8.4, 9", { "8.4.0", "9.0.0", "9.7.0" } },
        { "MariaDB 10.5 and later", { "10.5.9-MariaDB", "10.6.0-MariaDB", "10.11.2-MariaDB", "11.8.2-MariaDB" } },
};

/* A comment ends with its line, so that each privilege stands before its reason. */
static void add_grant(Text *text, const Version *version, bool optional)
{
        const char *begin = "GRANT ";
        for (const Privilege *need = NULL, *next; (need = dialect_next_privilege(version, need));) {
                if (need->on || need->optional != optional)
                        continue;
                for (next = need; (next = dialect_next_privilege(version, next));)
                        if (!next->on && next->optional == optional)
                                break;
                text_addf(text, "%s%s%s -- %s\n", begin, need->name, next ? "," : "", need->needed_for);
                begin = "      ";
        }
        text_add(text, "      ON *.* TO " ACCOUNT ";\n");
}

static char *statements(const char *text)
{
        Version version;
        if (version_parse(text, &version, NULL) < 0)
                return NULL;
        Text result = { 0 };
        text_add(&result, "CREATE USER " ACCOUNT " IDENTIFIED BY 'PASSWORD';\n");
        add_grant(&result, &version, false);
        for (const Privilege *need = NULL; (need = dialect_next_privilege(&version, need));)
                if (need->on)
                        text_addf(&result, "GRANT %s -- %s\n      ON %s TO %s;\n", need->name, need->needed_for,
                                  need->on, ACCOUNT);
        text_add(&result, "-- Only if there are scheduled events:\n");
        add_grant(&result, &version, true);
        return text_take(&result);
}

static const char replication[] = "CREATE USER 'repl'@'%' IDENTIFIED BY 'PASSWORD';\n"
                                  "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'%';\n";

static void print_code(const char *code)
{
        puts(".nf");
        for (const char *line = code; *line;) {
                CLEANUP(mem_free) char *one = alloc_string_n(line, strcspn(line, "\n"));
                print_escaped(one);
                putchar('\n');
                line += strlen(one) + (line[strlen(one)] == '\n');
        }
        puts(".fi");
}

static bool print_flavour(size_t i)
{
        printf(".SS %s\n", flavours[i].title);
        CLEANUP(mem_free) char *code = statements(flavours[i].versions[0]);
        for (size_t v = 1; v < ARRAY_LENGTH(flavours[i].versions) && flavours[i].versions[v]; v++) {
                CLEANUP(mem_free) char *other = statements(flavours[i].versions[v]);
                if (!text_equal(code, other)) {
                        fprintf(stderr, "%s: %s and %s need other statements\n", flavours[i].title,
                                flavours[i].versions[0], flavours[i].versions[v]);
                        return false;
                }
        }
        print_code(code);
        return true;
}

/* Without its comments, which the page has in other words. */
static bool print_file(const char *path)
{
        FILE *file = fopen(path, "re");
        if (!file) {
                perror(path);
                return false;
        }
        Text text = { 0 };
        char line[4096];
        while (fgets(line, sizeof line, file))
                if (*line != '#' && (*line != '\n' || text.length > 0))
                        text_add(&text, line);
        fclose(file);
        CLEANUP(mem_free) char *code = text_take(&text);
        puts(".PP");
        print_code(code);
        return true;
}

/* The page of roff stands around the statements, which take the place of its line "@ACCOUNTS@". */
static int print_page(const char *path, const char *sudoers)
{
        FILE *page = fopen(path, "re");
        if (!page) {
                perror(path);
                return 1;
        }
        char line[4096];
        bool good = true;
        while (good && fgets(line, sizeof line, page)) {
                char *version = strstr(line, "@VERSION@");
                if (text_equal(line, "@ACCOUNTS@\n"))
                        for (size_t i = 0; good && i < ARRAY_LENGTH(flavours); i++)
                                good = print_flavour(i);
                else if (text_equal(line, "@REPLICATION@\n")) {
                        puts(".PP");
                        print_code(replication);
                } else if (text_equal(line, "@SUDOERS@\n"))
                        good = print_file(sudoers);
                else if (version)
                        printf("%.*s%s%s", (int) (version - line), line, MHAD_VERSION, version + strlen("@VERSION@"));
                else
                        fputs(line, stdout);
        }
        fclose(page);
        return good && !ferror(stdout) && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
        if (argc == 3 && !text_starts_with(argv[1], "--"))
                return print_page(argv[1], argv[2]);
        CLEANUP(mem_free) char *code = argc == 3 && text_equal(argv[1], "--accounts") ? statements(argv[2]) : NULL;
        if (!code) {
                fputs("usage: mhad-privileges PAGE SUDOERS | --accounts VERSION\n", stderr);
                return 2;
        }
        printf("%s%s", code, replication);
        return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
