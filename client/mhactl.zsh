#compdef mhactl
# Completion of mhactl for zsh: mhactl itself knows what may come next, and asks the daemon for names.
local -a candidates
candidates=("${(@f)$("$words[1]" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
if [[ -n $candidates ]]; then
        compadd -a candidates
else
        _files
fi
