# Makes a C string literal of a text file, line by line.
s/\\/\\\\/g
s/"/\\"/g
s/.*/"&\\n"/
