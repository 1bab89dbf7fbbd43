# Completion of mhactl for bash: verbs and options from its own help, clusters from the daemon.
_mhactl()
{
        local word=${COMP_WORDS[COMP_CWORD]} verb="" i
        for ((i = 1; i < COMP_CWORD; i++)); do
                [[ ${COMP_WORDS[i]} != -* ]] && verb=${COMP_WORDS[i]} && break
        done
        if [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W "$(mhactl $verb --help 2>/dev/null | grep -o -e '--[a-z-]*')" -- "$word"))
        elif [[ -z $verb ]]; then
                COMPREPLY=($(compgen -W "$(mhactl --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$word"))
        elif [[ $verb == run && $i -eq $((COMP_CWORD - 1)) ]]; then
                COMPREPLY=($(compgen -W "retry override abandon cancel" -- "$word"))
        elif [[ $verb == plan && $i -eq $((COMP_CWORD - 1)) ]]; then
                COMPREPLY=($(compgen -W "failover switch" -- "$word"))
        else
                COMPREPLY=($(compgen -W "$(mhactl status --json 2>/dev/null | tr ',{' '\n\n' |
                        sed -n 's/^"cluster":"\([^"]*\)".*/\1/p')" -- "$word"))
        fi
}
complete -F _mhactl mhactl
