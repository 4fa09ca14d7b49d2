package postmortem

var ruleMissingFile = rule{
	kind: "missing-file",
	is:   "the failed call that the verdict names says `ENOENT`",
	sure: "likely if the last words name the file, else possible",
	find: func(c *facts) []Sign {
		s := c.cause()
		if s == nil || s.errno != eNOENT || s.file == "" || executes(s.call) {
			return nil
		}
		list := one(Possible, s.count,
			"a file that it looked for just before is missing: "+s.sentence(), s.ev)
		if s.byFile {
			list = one(Likely, s.count,
				"a file that it could not do without is missing: "+s.sentence()+", and the last "+
					"words name it", s.ev)
		}
		list[0].said = s.sentence()
		return list
	},
}
