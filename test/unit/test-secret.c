/* Secrets from files, credentials and programs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"
#include "secret.h"
#include "text.h"

static char directory[] = "/tmp/mhad-test-secret-XXXXXX";
static char path[64];

static void write_file(const char *bytes, size_t length, mode_t mode)
{
        assert_int_equal(file_replace(path, bytes, length, mode, NULL), 0);
        assert_int_equal(chmod(path, mode), 0);
}

static void test_file(void **state)
{
        char *secret = NULL;
        write_file("s3cret\n", 7, 0600);
        assert_int_equal(secret_read_file(path, &secret, NULL), 0);
        assert_string_equal(secret, "s3cret");
        text_wipe(secret);
        write_file(" a\n\n", 4, 0400);
        assert_int_equal(secret_read_file(path, &secret, NULL), 0);
        assert_string_equal(secret, " a\n");
        text_wipe(secret);
}

static void assert_file_refused(const char *bytes, size_t length, mode_t mode, const char *expected)
{
        char *secret = NULL;
        Failure failure = { 0 };
        write_file(bytes, length, mode);
        assert_true(secret_read_file(path, &secret, &failure) < 0);
        assert_null(secret);
        assert_non_null(strstr(failure.text, expected));
        assert_null(strstr(failure.text, "s3cret"));
}

static void test_bad_file(void **state)
{
        static char large[SECRET_MAX_BYTES + 1];
        memset(large, 'x', sizeof large);
        assert_file_refused("s3cret", 6, 0640, "others can read it (mode 0640)");
        assert_file_refused("", 0, 0600, "gave nothing");
        assert_file_refused("\n", 1, 0600, "gave nothing");
        assert_file_refused("s3cret\0x", 8, 0600, "gave a NUL byte");
        assert_file_refused(large, sizeof large, 0600, "gave more than 4096 bytes");
        unlink(path);
        char *secret = NULL;
        assert_int_equal(secret_read_file(path, &secret, NULL), -ENOENT);
}

static void test_credential(void **state)
{
        char *secret = NULL;
        unsetenv("CREDENTIALS_DIRECTORY");
        assert_int_equal(secret_read_credential("secret", &secret, NULL), -EINVAL);
        setenv("CREDENTIALS_DIRECTORY", directory, 1);
        write_file("s3cret", 6, 0440);
        assert_int_equal(secret_read_credential("secret", &secret, NULL), 0);
        assert_string_equal(secret, "s3cret");
        text_wipe(secret);
        assert_int_equal(secret_read_credential("none", &secret, NULL), -ENOENT);
}

static int run(const char *script, usec_t timeout, char **ret, Failure *reterr)
{
        char *arguments[] = { (char *) "/bin/sh", (char *) "-c", (char *) script, NULL };
        return secret_read_command(arguments, timeout, ret, reterr);
}

static void assert_command_refused(const char *script, FailureKind kind, const char *expected)
{
        char *secret = NULL;
        Failure failure = { 0 };
        usec_t timeout = kind == FAILURE_TIMEOUT ? 200 * USEC_MSEC : USEC_MINUTE;
        assert_true(run(script, timeout, &secret, &failure) < 0);
        assert_null(secret);
        assert_int_equal(failure.kind, kind);
        assert_string_equal(failure.text, expected);
}

static void test_command(void **state)
{
        char *secret = NULL;
        assert_int_equal(run("echo s3cret", USEC_MINUTE, &secret, NULL), 0);
        assert_string_equal(secret, "s3cret");
        text_wipe(secret);
        assert_command_refused("echo s3cret; exit 3", FAILURE_EXIT, "/bin/sh ended with status 3");
        assert_command_refused("echo s3cret; kill -9 $$", FAILURE_EXIT, "/bin/sh ended by signal 9");
        assert_command_refused("true", FAILURE_INVALID, "/bin/sh gave nothing");
        assert_command_refused("echo s3cret; sleep 60", FAILURE_TIMEOUT, "/bin/sh took too long and was ended");
        assert_command_refused("sleep 60 & echo s3cret", FAILURE_TIMEOUT, "/bin/sh took too long and was ended");
        assert_command_refused("exec >&-; sleep 60", FAILURE_TIMEOUT, "/bin/sh took too long and was ended");
        assert_command_refused("yes s3cret", FAILURE_INVALID, "/bin/sh gave more than 4096 bytes");
        char *arguments[] = { (char *) "/nonexistent", NULL };
        assert_int_equal(secret_read_command(arguments, USEC_SEC, &secret, NULL), -ENOENT);
}

static int set_up(void **state)
{
        if (!mkdtemp(directory))
                return -1;
        snprintf(path, sizeof path, "%s/secret", directory);
        return 0;
}

static int tear_down(void **state)
{
        unlink(path);
        return rmdir(directory);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_file),
                cmocka_unit_test(test_bad_file),
                cmocka_unit_test(test_credential),
                cmocka_unit_test(test_command),
        };
        return cmocka_run_group_tests_name("secret", tests, set_up, tear_down);
}
