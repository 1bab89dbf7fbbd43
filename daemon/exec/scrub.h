/* For the time in which a library works on a secret and frees memory with parts of it: nothing of it stays behind. */
#pragma once

/* From here on memory that is freed in this thread is overwritten, … */
void scrub_begin(void);
/* … until here, what lies ready for the next allocation included. */
void scrub_end(void);
