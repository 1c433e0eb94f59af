# METADATA
# title: File paths
# description: Shared by the rules about files and about the shell's working directory.
package meshguard.paths

# Absolute, and no empty, `.` or `..` segment, no backslash and no control character: a path that means one place only.
# A path that fails this is never compared with a root, since `/srv/work/../../etc` starts with `/srv/work/` too.
canonical(path) if regex.match(`^(/[.]?[^./\\\x00-\x1f][^/\\\x00-\x1f]*)+$`, path)

# Roots end with a slash, so that `/srv/work/finance-archive` isn't under `/srv/work/finance/`.
under(path, roots) if {
	directory := concat("", [path, "/"])
	some root in roots
	startswith(directory, root)
}
