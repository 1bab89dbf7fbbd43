/* MHA's configuration files (.cnf): sections of name=value, read as MHA's own reader does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "json.h"

typedef struct CnfEntry {
        const char *file; /* lent */
        size_t line;
        char *name, *value;
        /* What became of it, for the report; NULL: nothing yet. */
        char *outcome;
        bool warns; /* somebody should look at it */
} CnfEntry;

typedef struct CnfSection {
        char *name;
        size_t line;
        CnfEntry *entries;
        size_t n_entries;
} CnfSection;

typedef struct Cnf {
        const char *file; /* lent */
        CnfSection *sections;
        size_t n_sections;
} Cnf;

/* Appends what is wrong to errors ("file:line: text"); ret is set in any case and ends with cnf_done(). */
void cnf_parse(const char *file, const char *text, Cnf *ret, Json *errors);
void cnf_done(Cnf *cnf);

CnfSection *cnf_section(Cnf *cnf, const char *name); /* NULL when there is none */
/* The last one of that name, which is the one that counts; NULL when there is none. section may be NULL. */
CnfEntry *cnf_entry(CnfSection *section, const char *name);
