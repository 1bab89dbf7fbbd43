/* .cnf files to sections and entries. Owns their texts, which may be secrets and are wiped; must never print a value. */
#include "cnf.h"

#include <ctype.h>
#include <string.h>

#include "text.h"

static void complain(Json *errors, const char *file, size_t line, const char *what)
{
        CLEANUP(mem_free) char *text = text_format("%s:%zu: %s", file, line, what);
        json_append_string(errors, text);
}

static char *trimmed(const char *from, const char *to)
{
        while (from < to && isspace((unsigned char) *from))
                from++;
        while (to > from && isspace((unsigned char) to[-1]))
                to--;
        return alloc_string_n(from, (size_t) (to - from));
}

/* A comment begins at a semicolon between blanks, also in a password. */
static const char *end_of_value(const char *from, const char *to)
{
        for (const char *c = from; c + 2 < to; c++)
                if (isspace((unsigned char) c[0]) && c[1] == ';' && isspace((unsigned char) c[2]))
                        return c;
        return to;
}

static CnfSection *open_section(Cnf *cnf, char *name, size_t line)
{
        CnfSection *section = cnf_section(cnf, name);
        if (section) {
                free(name);
                return section;
        }
        ALLOC_GROW(cnf->sections, cnf->n_sections);
        section = &cnf->sections[cnf->n_sections++];
        *section = (CnfSection){ .name = name, .line = line };
        return section;
}

static void add_entry(Cnf *cnf, CnfSection *section, const char *from, const char *to, size_t line)
{
        const char *equals = memchr(from, '=', (size_t) (to - from));
        ALLOC_GROW(section->entries, section->n_entries);
        section->entries[section->n_entries++] = (CnfEntry){
                .file = cnf->file,
                .line = line,
                .name = trimmed(from, equals),
                .value = trimmed(equals + 1, end_of_value(equals + 1, to)),
        };
}

void cnf_parse(const char *file, const char *text, Cnf *ret, Json *errors)
{
        Cnf cnf = { .file = file };
        CnfSection *section = NULL;
        size_t number = 0;
        for (const char *line = text; *line;) {
                const char *end = line + strcspn(line, "\n"), *from = line, *to = end;
                line = *end ? end + 1 : end;
                number++;
                while (from < to && isspace((unsigned char) *from))
                        from++;
                while (to > from && isspace((unsigned char) to[-1]))
                        to--;
                if (from == to || *from == '#' || *from == ';')
                        continue;
                const char *close = memchr(from, ']', (size_t) (to - from));
                if (*from == '[' && close) {
                        section = open_section(&cnf, trimmed(from + 1, close), number);
                } else if (!memchr(from, '=', (size_t) (to - from))) {
                        complain(errors, file, number, "neither a [section] nor name=value (a comment begins with #)");
                } else if (!section) {
                        complain(errors, file, number, "a parameter before the first [section]");
                } else {
                        add_entry(&cnf, section, from, to, number);
                }
        }
        *ret = cnf;
}

void cnf_done(Cnf *cnf)
{
        for (size_t i = 0; i < cnf->n_sections; i++) {
                CnfSection *section = &cnf->sections[i];
                for (size_t k = 0; k < section->n_entries; k++) {
                        free(section->entries[k].name);
                        text_wipe(section->entries[k].value);
                        free(section->entries[k].outcome);
                }
                free(section->entries);
                free(section->name);
        }
        free(cnf->sections);
        *cnf = (Cnf){ 0 };
}

CnfSection *cnf_section(Cnf *cnf, const char *name)
{
        for (size_t i = 0; i < cnf->n_sections; i++)
                if (strcmp(cnf->sections[i].name, name) == 0)
                        return &cnf->sections[i];
        return NULL;
}

CnfEntry *cnf_entry(CnfSection *section, const char *name)
{
        for (size_t i = section ? section->n_entries : 0; i-- > 0;)
                if (strcmp(section->entries[i].name, name) == 0)
                        return &section->entries[i];
        return NULL;
}
