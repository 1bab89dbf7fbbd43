# Completion of mhactl for bash: mhactl itself knows what may come next, and asks the daemon for names.
_mhactl()
{
        local typed=${COMP_WORDS[COMP_CWORD]} word
        COMPREPLY=()
        while read -r word; do
                [[ $word == "$typed"* ]] && COMPREPLY+=("$word")
        done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _mhactl mhactl
