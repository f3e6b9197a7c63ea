"""Between the files of other projects and our episodes: the mapping of keys, action conventions, rates, both ways."""
