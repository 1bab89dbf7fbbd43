/* The host key's check against known_hosts, by libssh. Owns nothing; must never let a changed key pass. */
#include "hostkey.h"

#include "text.h"

const char *hostkey_lookup_name(ssh_session session, const char *name, const char *address)
{
        /* It takes no name with "_" in it, say; the one from before would stay, and be looked up in its place. */
        bool usable = ssh_options_set(session, SSH_OPTIONS_HOST, name) == SSH_OK;
        bool found = usable && ssh_session_has_known_hosts_entry(session) == SSH_KNOWN_HOSTS_OK;
        (void) ssh_options_set(session, SSH_OPTIONS_HOST, address);
        if (!usable)
                return address;
        if (found || ssh_session_has_known_hosts_entry(session) != SSH_KNOWN_HOSTS_OK)
                return name;
        return address;
}

/* "SHA256:…", as ssh-keygen -l prints it. */
static char *fingerprint(ssh_session session)
{
        ssh_key key = NULL;
        unsigned char *hash = NULL;
        size_t length = 0;
        char *printed = NULL;
        if (ssh_get_server_publickey(session, &key) == SSH_OK &&
            ssh_get_publickey_hash(key, SSH_PUBLICKEY_HASH_SHA256, &hash, &length) == 0)
                printed = ssh_get_fingerprint_hash(SSH_PUBLICKEY_HASH_SHA256, hash, length);
        char *copy = alloc_string(printed ? printed : "fingerprint unknown");
        ssh_string_free_char(printed);
        ssh_clean_pubkey_hash(&hash);
        ssh_key_free(key);
        return copy;
}

static char *keyscan_command(const char *name, unsigned port, const char *file)
{
        return text_format("ssh-keyscan -p %u %s >> %s", port, name, file);
}

static int refuse_changed(ssh_session session, const char *name, unsigned port, const char *file, Failure *reterr)
{
        CLEANUP(mem_free) char *print = fingerprint(session), *scan = keyscan_command(name, port, file);
        CLEANUP(mem_free) char *entry = port == 22 ? alloc_string(name) : text_format("[%s]:%u", name, port);
        return failure_set(reterr, FAILURE_SSH, 0,
                           "the host key of %s has changed, it is %s now: the host was set up anew, or another one "
                           "answers in its place; if it is right: ssh-keygen -f %s -R '%s' && %s",
                           name, print, file, entry, scan);
}

static int refuse_unknown(ssh_session session, const char *name, unsigned port, const char *file, Failure *reterr)
{
        CLEANUP(mem_free) char *print = fingerprint(session), *scan = keyscan_command(name, port, file);
        return failure_set(reterr, FAILURE_SSH, 0, "the host key of %s, %s, is not in %s; if it is right: %s", name,
                           print, file, scan);
}

int hostkey_check(ssh_session session, const char *name, unsigned port, const char *known_hosts_file,
                  bool accept_unknown, Failure *reterr)
{
        switch (ssh_session_is_known_server(session)) {
        case SSH_KNOWN_HOSTS_OK:
                return 0;
        case SSH_KNOWN_HOSTS_UNKNOWN:
        case SSH_KNOWN_HOSTS_NOT_FOUND:
                if (accept_unknown)
                        return 0;
                return refuse_unknown(session, name, port, known_hosts_file, reterr);
        case SSH_KNOWN_HOSTS_CHANGED:
        case SSH_KNOWN_HOSTS_OTHER:
                return refuse_changed(session, name, port, known_hosts_file, reterr);
        case SSH_KNOWN_HOSTS_ERROR:
                break;
        }
        return failure_set(reterr, FAILURE_SSH, 0, "cannot check the host key of %s against %s: %s", name,
                           known_hosts_file, ssh_get_error(session));
}
